/**
 * The access log in JSON. A line is put together byte by byte and written in blocks: through a general logger it costs
 * as much CPU as a "hello world" itself (docs/decisions/0004-access-log.md).
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { IsoClock } from './clock.ts';
import type { LogDestination } from './destination.ts';
import { LineWriter } from './line-writer.ts';
import { givenId, type RequestIds } from './request-id.ts';
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
  /** What every line of this connection has in the same place; made with the first. */
  peerPart?: Uint8Array;
}

/** The client's address for a peer and what it forwarded. */
export type ClientOf = (remote: string, seen: SeenHeaders) => string;

/** A line waits at most this long in memory. */
const FLUSH_AFTER_MS = 100;

const ascii = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'latin1'));

/** What stands between the values; the quotes of a value belong to its neighbours. */
const BEFORE = {
  time: ascii('{"time":"'),
  path: ascii('","path":"'),
  query: ascii('","query":"'),
  protocol: ascii('","protocol":"HTTP/'),
  status: ascii('","status":'),
  bytes: ascii(',"bytes":'),
  duration: ascii(',"duration_ms":'),
  referer: ascii(',"referer":"'),
  userAgent: ascii('","user_agent":"'),
  requestId: ascii('","request_id":"'),
  error: ascii(',"error":"'),
} as const;
const DECIMAL_POINT = ascii('.');

export class AccessLog {
  readonly #destination: LogDestination;
  readonly #clientOf: ClientOf;
  readonly #idPrefix: Uint8Array;
  readonly #end: Uint8Array;
  readonly #clock = new IsoClock();
  readonly #line: LineWriter;
  #timer: NodeJS.Timeout | undefined;

  constructor(destination: LogDestination, slot: number, clientOf: ClientOf, ids: RequestIds) {
    this.#destination = destination;
    this.#clientOf = clientOf;
    this.#idPrefix = ascii(ids.prefix);
    this.#end = ascii(`","worker":${slot}}\n`);
    this.#line = new LineWriter(destination);
  }

  /** `status` is what the client got; `now` and the exchange's start are of performance.now(). */
  request(exchange: LoggedExchange, status: number, now: number): void {
    const { request, method, url, connection } = exchange;
    const seen = scan(request.rawHeaders);
    const line = this.#line;
    const { remote } = connection;
    const client = this.#clientOf(remote, seen);
    line.constant(BEFORE.time);
    line.constant(this.#clock.now());
    line.constant(client === remote ? peerPartOf(connection) : peerPart(remote, client));
    line.text(method, jsonEscape);
    line.constant(BEFORE.path);
    const question = url.indexOf('?');
    if (question < 0) line.text(url, jsonEscape);
    else line.part(url, jsonEscape, 0, question);
    line.constant(BEFORE.query);
    if (question >= 0) line.part(url, jsonEscape, question + 1, url.length);
    line.constant(BEFORE.protocol);
    line.text(request.httpVersion, jsonEscape);
    line.constant(BEFORE.status);
    line.integer(status);
    line.constant(BEFORE.bytes);
    line.integer(bodyBytes(exchange));
    line.constant(BEFORE.duration);
    const microseconds = Math.max(0, Math.round((now - exchange.startedAt) * 1000));
    line.integer(Math.floor(microseconds / 1000));
    line.constant(DECIMAL_POINT);
    line.threeDigits(microseconds % 1000);
    line.constant(BEFORE.referer);
    line.text(seen.referer, jsonEscape);
    line.constant(BEFORE.userAgent);
    line.text(seen.userAgent, jsonEscape);
    line.constant(BEFORE.requestId);
    const id = givenId(seen);
    if (id !== '') line.text(id, jsonEscape);
    else {
      line.constant(this.#idPrefix);
      line.hexadecimal(exchange.serial);
    }
    this.#finish();
  }

  /** A request that could not even be parsed: `error` is the parser's code. */
  malformed(remote: string, status: number, error: string): void {
    const line = this.#line;
    line.constant(BEFORE.time);
    line.constant(this.#clock.now());
    line.constant(ascii(`","remote":"${remote}","client":"${remote}","status":`));
    line.integer(status);
    line.constant(BEFORE.error);
    line.text(error, jsonEscape);
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
    this.#line.constant(this.#end);
    this.#line.end();
    this.#timer ??= setTimeout(() => this.#write(), FLUSH_AFTER_MS).unref();
  }

  #write(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#line.flush();
  }
}

/** Addresses come from the kernel or were parsed as such: there is nothing in them to escape. */
function peerPart(remote: string, client: string): Uint8Array {
  return ascii(`","remote":"${remote}","client":"${client}","method":"`);
}

function peerPartOf(connection: LoggedConnection): Uint8Array {
  connection.peerPart ??= peerPart(connection.remote, connection.remote);
  return connection.peerPart;
}

/** In ASCII, so that no request can end the line or the string, whatever a reader takes for a line end. */
export function jsonEscape(unit: number): string {
  if (unit === 0x22) return '\\"';
  if (unit === 0x5c) return '\\\\';
  return `\\u${unit.toString(16).padStart(4, '0')}`;
}

/** Bytes of the body as sent, with the framing of a chunked one. */
function bodyBytes({ connection, response }: LoggedExchange): number {
  const head = (response as unknown as { _header?: string | null })._header?.length ?? 0;
  const before = connection.sent;
  // `bytesWritten` also looks through what waits to be sent, which at the end of a response is nothing.
  connection.sent = connection.socket._bytesDispatched ?? connection.socket.bytesWritten;
  return Math.max(0, connection.sent - before - head);
}
