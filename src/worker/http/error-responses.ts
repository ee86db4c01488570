/** Answers that tsunicorn gives in the app's place. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { http } from '../../platform/node-http.ts';

/** Why a request was turned away; the `reason` label of `tsunicorn_http_requests_rejected_total`. */
export type Refusal =
  | 'uri_too_long'
  | 'too_many_fields'
  | 'body_too_large'
  | 'timeout'
  | 'malformed'
  | 'overload'
  | 'no_websocket';

export interface RequestLimits {
  readonly limitRequestLine: number;
  readonly limitRequestFields: number;
  readonly limitBodySize: number;
}

/** What a method and `HTTP/1.1` with two spaces and a line end add to the target in the request line. */
const LINE_OVERHEAD = ' '.length + ' HTTP/1.1\r\n'.length;

/** The status that a request earns by its head alone; undefined where it is fine. */
export function refusalOf(
  request: IncomingMessage,
  limits: RequestLimits,
): { status: number; why: Refusal } | undefined {
  const { url = '', method = '', rawHeaders } = request;
  if (url.length + method.length + LINE_OVERHEAD > limits.limitRequestLine) return { status: 414, why: 'uri_too_long' };
  if (rawHeaders.length > 2 * limits.limitRequestFields) return { status: 431, why: 'too_many_fields' };
  if (limits.limitBodySize > 0 && Number(request.headers['content-length'] ?? 0) > limits.limitBodySize) {
    return { status: 413, why: 'body_too_large' };
  }
  return undefined;
}

/** Watches a body of unknown length (chunked); calls `exceeded` once when it is longer than `limit` bytes. */
export function watchBody(request: IncomingMessage, limit: number, exceeded: () => void): void {
  if (request.headers['transfer-encoding'] === undefined) return;
  const push = request.push;
  let received = 0;
  request.push = (chunk: Buffer | string | null, encoding?: BufferEncoding): boolean => {
    received += chunk === null ? 0 : chunk.length;
    if (received <= limit) return push.call(request, chunk, encoding);
    request.push = () => false;
    exceeded();
    return false;
  };
}

/** When to come back, in seconds: a worker that has shed load catches up within the second or has not yet. */
const RETRY_AFTER = '1';

/**
 * Turns a request away that there is no time for. The connection stays: a new one would be more work for both sides.
 * Only where a body is on its way, which nobody will read, it has to end.
 */
export function shed(request: IncomingMessage, response: ServerResponse): void {
  const { rawHeaders } = request;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]?.toLowerCase();
    if (name === 'content-length' || name === 'transfer-encoding') response.shouldKeepAlive = false;
  }
  const body = `503 ${http.STATUS_CODES[503]}\n`;
  response.writeHead(503, {
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Length': body.length,
    'Retry-After': RETRY_AFTER,
  });
  response.end(body);
}

/** The same for a handshake, for which Node.js makes no response. */
export function shedHandshake(request: IncomingMessage, stream: Duplex): void {
  refuseHandshake(request, stream, 503, { 'Retry-After': RETRY_AFTER });
}

/** Its connection is no longer one for HTTP, so it ends. */
export function refuseHandshake(
  request: IncomingMessage,
  stream: Duplex,
  status: number,
  headers: Readonly<Record<string, string>> = {},
): void {
  stream.on('error', () => undefined); // its client may be gone
  const { socket } = request as { socket: { readonly _httpMessage?: ServerResponse | null } };
  // It came before the answer to the request before it, whose client would take this for that.
  if (socket._httpMessage) {
    stream.destroy();
    return;
  }
  const body = `${status} ${http.STATUS_CODES[status]}\n`;
  const fields = Object.entries({
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Length': body.length,
    Connection: 'close',
    ...headers,
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  stream.end(`HTTP/1.1 ${status} ${http.STATUS_CODES[status]}\r\n${fields.join('')}\r\n${body}`, () =>
    stream.destroy(),
  );
}

/**
 * Answers `status` and ends the connection. Where the response has begun it can only be cut off. What the app does with
 * the response afterwards is ignored: it must not throw ERR_HTTP_HEADERS_SENT in a handler that merely was too slow.
 */
export function answerInstead(
  response: ServerResponse,
  status: number,
  headers: Readonly<Record<string, string>> = {},
): void {
  if (response.writableEnded) return; // complete, and on its way
  if (response.headersSent) {
    response.destroy();
    return;
  }
  for (const name of response.getHeaderNames()) response.removeHeader(name);
  const body = `${status} ${http.STATUS_CODES[status]}\n`;
  response.writeHead(status, {
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Length': body.length,
    Connection: 'close',
    ...headers,
  });
  response.end(body);
  mute(response);
}

function mute(response: ServerResponse): void {
  const same = (): ServerResponse => response;
  const nothing = (): void => undefined;
  Object.assign(response, {
    writeHead: same,
    setHeader: same,
    setHeaders: same,
    appendHeader: same,
    removeHeader: nothing,
    flushHeaders: nothing,
    writeContinue: nothing,
    writeProcessing: nothing,
    writeEarlyHints: nothing,
    addTrailers: nothing,
    write: () => true,
    end: same,
  });
}
