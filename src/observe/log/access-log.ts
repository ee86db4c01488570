/**
 * The access log, built as bytes and written in blocks: a line through a general logger costs as much CPU as a
 * "hello world" (docs/decisions/0004-access-log.md).
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { LogDestination } from './destination.ts';
import { type Escape, LineWriter } from './line-writer.ts';
import { type SeenHeaders, scan } from './request-headers.ts';

export interface LoggedExchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly connection: LoggedConnection;
  readonly method: string;
  readonly url: string;
  readonly serial: number;
  /** By performance.now(). */
  readonly startedAt: number;
}

export interface LoggedConnection {
  readonly peer: {
    /** Empty for a unix socket. */
    readonly address: string;
    /** The client's address behind trusted proxies. */
    clientOf(seen: SeenHeaders): string;
  };
  readonly socket: { readonly bytesWritten: number; readonly _bytesDispatched?: number };
  /** Bytes sent up to the end of the last logged response. */
  sent: number;
  /** The part of a line that is the same for the whole connection, made with its first line. */
  peerPart?: Uint8Array;
}

export interface LogEntry {
  exchange: LoggedExchange;
  seen: SeenHeaders;
  client: string;
  /** As the client got it. */
  status: number;
  /** Of the body as sent, including chunk framing. */
  bytes: number;
  /** From the request's header to the end of the response; whole. */
  microseconds: number;
}

export interface LineFormat {
  readonly toAscii: Escape;
  request(line: LineWriter, entry: LogEntry): void;
  /** A request that could not be parsed: `error` is the parser's code. */
  malformed(line: LineWriter, remote: string, status: number, error: string): void;
}

/** The longest time a line stays in memory. */
const FLUSH_AFTER_MS = 100;

export class AccessLog {
  readonly #destination: LogDestination;
  readonly #format: LineFormat;
  readonly #line: LineWriter;
  #timer: NodeJS.Timeout | undefined;

  constructor(destination: LogDestination, format: LineFormat) {
    this.#destination = destination;
    this.#format = format;
    this.#line = new LineWriter(destination, format.toAscii);
  }

  /** `status` as the client got it; `now` by performance.now(). */
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

  flushSync(): void {
    this.#write();
    this.#destination.flushSync();
  }

  takeDropped(): number {
    return this.#destination.takeDropped();
  }

  #finish(): void {
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
  // `bytesWritten` walks the write queue as well, which is empty at the end of a response.
  connection.sent = connection.socket._bytesDispatched ?? connection.socket.bytesWritten;
  return Math.max(0, connection.sent - before - head);
}
