/**
 * The access log. A line is put together byte by byte and written in blocks: through a general logger it costs as much
 * CPU as a "hello world" itself (docs/decisions/0004-access-log.md).
 */
import type { LogDestination } from './destination.ts';
import { LineWriter } from './line-writer.ts';
import { ascii, type LineFormat, type LogEntry, type LoggedExchange } from './log-entry.ts';
import { scan } from './seen-headers.ts';

/** A line waits at most this long in memory. */
const FLUSH_AFTER_MS = 100;

const LINE_END = ascii('\n');

export class AccessLog {
  readonly #destination: LogDestination;
  readonly #format: LineFormat;
  readonly #line: LineWriter;
  #timer: NodeJS.Timeout | undefined;

  constructor(destination: LogDestination, format: LineFormat) {
    this.#destination = destination;
    this.#format = format;
    this.#line = new LineWriter(destination);
  }

  /** `status` is what the client got; `now` and the exchange's start are of performance.now(). */
  request(exchange: LoggedExchange, status: number, now: number): void {
    const seen = scan(exchange.request.rawHeaders);
    const entry: LogEntry = {
      exchange,
      seen,
      client: exchange.connection.peer.clientOf(seen),
      status,
      bytes: bodyBytes(exchange),
      microseconds: Math.max(0, Math.round((now - exchange.startedAt) * 1000)),
    };
    this.#format.request(this.#line, entry);
    this.#finish();
  }

  /** A request that could not even be parsed: `error` is the parser's code. */
  malformed(remote: string, status: number, error: string): void {
    this.#format.malformed(this.#line, remote, status, error);
    this.#finish();
  }

  reopen(): void {
    this.#write();
    this.#destination.reopen();
  }

  async close(): Promise<void> {
    this.#write();
    await this.#destination.close();
  }

  /** For a process that exits now. */
  flushSync(): void {
    this.#write();
    this.#destination.flushSync();
  }

  takeDropped(): number {
    return this.#destination.takeDropped();
  }

  #finish(): void {
    this.#line.constant(LINE_END);
    this.#line.end();
    this.#timer ??= setTimeout(() => this.#write(), FLUSH_AFTER_MS).unref();
  }

  #write(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#line.flush();
  }
}

function bodyBytes({ connection, response }: LoggedExchange): number {
  const head = (response as unknown as { _header?: string | null })._header?.length ?? 0;
  const before = connection.sent;
  // `bytesWritten` also looks through what waits to be sent, which at the end of a response is nothing.
  connection.sent = connection.socket._bytesDispatched ?? connection.socket.bytesWritten;
  return Math.max(0, connection.sent - before - head);
}
