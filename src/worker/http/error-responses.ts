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

type Headers = Readonly<Record<string, string>>;

/** In seconds: a worker that has shed load catches up within the second or has not yet. */
const RETRY_AFTER: Headers = { 'Retry-After': '1' };

const bodyFor = (status: number): string => `${status} ${http.STATUS_CODES[status]}\n`;
const fieldsFor = (body: string) => ({
  'Content-Type': 'text/plain; charset=utf-8',
  'Content-Length': body.length,
});

/**
 * Load shedding: 503. The connection stays, since a new one would be more work for both sides, unless a body that
 * tsunicorn will not read is on its way.
 */
export function shed({ rawHeaders }: IncomingMessage, response: ServerResponse): void {
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]?.toLowerCase();
    if (name === 'content-length' || name === 'transfer-encoding') response.shouldKeepAlive = false;
  }
  const body = bodyFor(503);
  response.writeHead(503, { ...fieldsFor(body), ...RETRY_AFTER });
  response.end(body);
}

/** The same for a handshake, for which Node.js makes no response. */
export function shedHandshake(request: IncomingMessage, stream: Duplex): void {
  refuseHandshake(request, stream, 503, RETRY_AFTER);
}

/** Answers `status` and ends the connection, which is no longer one for HTTP. */
export function refuseHandshake(request: IncomingMessage, stream: Duplex, status: number, headers: Headers = {}): void {
  stream.on('error', () => undefined); // its client may be gone
  const { socket } = request as { socket: { readonly _httpMessage?: ServerResponse | null } };
  // A request before it is unanswered, and its client would take this for the answer.
  if (socket._httpMessage) {
    stream.destroy();
    return;
  }
  const body = bodyFor(status);
  const fields = Object.entries({ ...fieldsFor(body), Connection: 'close', ...headers });
  const head = fields.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  stream.end(`HTTP/1.1 ${status} ${http.STATUS_CODES[status]}\r\n${head}\r\n${body}`, () => stream.destroy());
}

/**
 * Answers `status` and ends the connection. A response that has begun can only be cut off. What the app does with the
 * response afterwards is ignored: a handler that was merely too slow must not get ERR_HTTP_HEADERS_SENT.
 */
export function answerInstead(response: ServerResponse, status: number, headers: Headers = {}): void {
  if (response.writableEnded) return; // complete, and on its way
  if (response.headersSent) {
    response.destroy();
    return;
  }
  for (const name of response.getHeaderNames()) response.removeHeader(name);
  const body = bodyFor(status);
  response.writeHead(status, { ...fieldsFor(body), Connection: 'close', ...headers });
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
