/** What a line of the access log is made of. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { LineWriter } from './line-writer.ts';
import type { SeenHeaders } from './seen-headers.ts';

/** A request and its response, as the worker hands them over. */
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
  readonly peer: {
    /** Empty for a unix socket. */
    readonly address: string;
    /** The client's address behind trusted proxies. */
    clientOf(seen: SeenHeaders): string;
  };
  readonly socket: { readonly bytesWritten: number; readonly _bytesDispatched?: number };
  /** Bytes sent up to the end of the last response that was logged. */
  sent: number;
  /** What every line of this connection has in the same place; made with the first. */
  peerPart?: Uint8Array;
}

/** A finished request as a line sees it. */
export interface LogEntry {
  exchange: LoggedExchange;
  seen: SeenHeaders;
  /** The client's address, behind trusted proxies. */
  client: string;
  /** What the client got. */
  status: number;
  /** Of the body as sent, with the framing of a chunked one. */
  bytes: number;
  /** From the request's head to the end of the response, a whole number. */
  microseconds: number;
}

/** Writes lines, but for their end. */
export interface LineFormat {
  request(line: LineWriter, entry: LogEntry): void;
  /** A request that could not even be parsed: `error` is the parser's code. */
  malformed(line: LineWriter, remote: string, status: number, error: string): void;
}

export function ascii(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'latin1'));
}
