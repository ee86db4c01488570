/**
 * The access log in JSON. The line is put together by hand and written in blocks: through a general logger it costs as
 * much CPU as a "hello world" itself (docs/decisions/0004-access-log.md).
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { LogDestination } from './destination.ts';
import type { RequestIds } from './request-id.ts';
import { type SeenHeaders, scan } from './seen-headers.ts';

/** What a line is made of. */
export interface LoggedExchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly connection: LoggedConnection;
  readonly method: string;
  readonly url: string;
  /** The number of the request in this worker. */
  readonly serial: number;
  readonly startedAt: number;
}

export interface LoggedConnection {
  readonly remote: string;
  readonly socket: { readonly bytesWritten: number; readonly _bytesDispatched?: number };
  /** Bytes sent up to the end of the last response that was logged. */
  sent: number;
}

/** The client's address for a peer and what it forwarded. */
export type ClientOf = (remote: string, seen: SeenHeaders) => string;

/** A line waits at most this long in memory. */
const FLUSH_AFTER_MS = 100;

export class AccessLog {
  readonly #destination: LogDestination;
  readonly #clientOf: ClientOf;
  readonly #ids: RequestIds;
  readonly #tail: string;
  readonly #clock = new IsoClock();
  #block: Buffer;
  #used = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(destination: LogDestination, slot: number, clientOf: ClientOf, ids: RequestIds) {
    this.#destination = destination;
    this.#clientOf = clientOf;
    this.#ids = ids;
    this.#tail = `,"worker":${slot}}\n`;
    this.#block = Buffer.allocUnsafeSlow(destination.blockSize);
  }

  /** `status` is what the client got; `now` and the exchange's start are of performance.now(). */
  request(exchange: LoggedExchange, status: number, now: number): void {
    const { request, method, url, connection } = exchange;
    const seen = scan(request.rawHeaders);
    // The method is one of the parser's own, and addresses are addresses: what a client chose is quoted.
    const question = url.indexOf('?');
    const path = question < 0 ? url : url.slice(0, question);
    const query = question < 0 ? '' : url.slice(question + 1);
    this.#append(
      `${this.#head(connection.remote, this.#clientOf(connection.remote, seen))},"method":"${method}","path":${quote(path)},"query":${quote(query)},"protocol":"HTTP/${request.httpVersion}","status":${status},"bytes":${bodyBytes(exchange)},"duration_ms":${milliseconds(now - exchange.startedAt)},"referer":${quote(seen.referer)},"user_agent":${quote(seen.userAgent)},"request_id":${quote(this.#ids.of(exchange.serial, seen))}${this.#tail}`,
    );
  }

  /** A request that could not even be parsed: `error` is the parser's code. */
  malformed(remote: string, status: number, error: string): void {
    this.#append(`${this.#head(remote, remote)},"status":${status},"error":${quote(error)}${this.#tail}`);
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

  #head(remote: string, client: string): string {
    return `{"time":"${this.#clock.now()}","remote":"${remote}","client":"${client}"`;
  }

  /** `line` is ASCII, so its length is its size. Into bytes at once: text that waits is work for the collector. */
  #append(line: string): void {
    // Whole lines only, and never more than the block that other writers of the same pipe leave in one piece.
    if (this.#used + line.length > this.#block.length) this.#write();
    if (line.length > this.#block.length) return this.#destination.write(Buffer.from(line, 'latin1'));
    this.#used += this.#block.write(line, this.#used, 'latin1');
    this.#timer ??= setTimeout(() => this.#write(), FLUSH_AFTER_MS).unref();
  }

  #write(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#used === 0) return;
    this.#destination.write(this.#block.subarray(0, this.#used));
    this.#block = Buffer.allocUnsafeSlow(this.#block.length);
    this.#used = 0;
  }
}

/** What has to be escaped in a line of printable ASCII; everything else is the slow path. */
const UNSAFE = /[^ !#-[\]-~]/;

/** A JSON string in ASCII: no request can end the line or the string, and its length is its size in bytes. */
export function quote(text: string): string {
  if (text === '') return '""';
  if (!UNSAFE.test(text)) return `"${text}"`;
  return JSON.stringify(text).replace(/[\u007f-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Three digits each: 000 to 999. */
const THOUSANDTHS = Array.from({ length: 1000 }, (_, i) => String(i).padStart(3, '0'));

/** A JSON number with three decimals. Of two whole numbers: to print a fraction costs several times as much. */
function milliseconds(duration: number): string {
  const microseconds = Math.max(0, Math.round(duration * 1000));
  return `${Math.floor(microseconds / 1000)}.${THOUSANDTHS[microseconds % 1000]}`;
}

/** Bytes of the body as sent, with the framing of a chunked one. */
function bodyBytes({ connection, response }: LoggedExchange): number {
  const head = (response as unknown as { _header?: string | null })._header?.length ?? 0;
  const before = connection.sent;
  // `bytesWritten` also looks through what waits to be sent, which at the end of a response is nothing.
  connection.sent = connection.socket._bytesDispatched ?? connection.socket.bytesWritten;
  return Math.max(0, connection.sent - before - head);
}

/** ISO 8601 in milliseconds; the text is made once a second and its last digits put in. */
class IsoClock {
  #second = -1;
  #prefix = '';

  now(): string {
    const ms = Date.now();
    const second = Math.floor(ms / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#prefix = new Date(second * 1000).toISOString().slice(0, 20);
    }
    const rest = ms - second * 1000;
    return `${this.#prefix}${rest < 10 ? '00' : rest < 100 ? '0' : ''}${rest}Z`;
  }
}
