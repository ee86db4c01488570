/** Answers that tsunicorn gives in the app's place. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { REFUSALS } from '../../messages.ts';
import { hasField } from '../../observe/log/request-headers.ts';
import { http } from '../../platform/node-http.ts';

/** Why a request was turned away; the `reason` label of `tsunicorn_http_requests_rejected_total`. */
export type Refusal = (typeof REFUSALS)[number];

const bodyFor = (status: number): string => `${status} ${http.STATUS_CODES[status]}\n`;
const fieldsFor = (body: string) => ({
  'Content-Type': 'text/plain; charset=utf-8',
  'Content-Length': body.length,
});

/** The connection stays, since a new one is more work for both sides, unless an unread body is on its way. */
export function shed(request: IncomingMessage, response: ServerResponse, status: number, headers = {}): void {
  const { rawHeaders } = request;
  if (hasField(rawHeaders, 'content-length') || hasField(rawHeaders, 'transfer-encoding'))
    response.shouldKeepAlive = false;
  const body = bodyFor(status);
  response.writeHead(status, { ...fieldsFor(body), ...headers });
  response.end(body);
}

/** Node.js makes no response for a handshake. Answers `status` and ends the connection, which has left HTTP. */
export function refuseHandshake(request: IncomingMessage, stream: Duplex, status: number, headers = {}): void {
  stream.on('error', () => undefined); // its client may be gone
  const { socket } = request as { socket: { readonly _httpMessage?: ServerResponse | null } };
  // A request before it is unanswered, and its client would take this for the answer.
  if (socket._httpMessage) return void stream.destroy();
  const body = bodyFor(status);
  const fields = Object.entries({ ...fieldsFor(body), Connection: 'close', ...headers });
  const head = fields.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  stream.end(`HTTP/1.1 ${status} ${http.STATUS_CODES[status]}\r\n${head}\r\n${body}`, () => stream.destroy());
}

/**
 * Answers `status` and ends the connection. A response that has begun can only be cut off. What the app does with the
 * response afterwards is ignored: a handler that was merely too slow must not get ERR_HTTP_HEADERS_SENT.
 */
export function answerInstead(response: ServerResponse, status: number, headers = {}): void {
  if (response.writableEnded) return; // complete, and on its way
  if (response.headersSent) return void response.destroy();
  for (const name of response.getHeaderNames()) response.removeHeader(name);
  const body = bodyFor(status);
  response.writeHead(status, { ...fieldsFor(body), Connection: 'close', ...headers });
  response.end(body);
  mute(response);
}

/** It has been answered: what the app does with it from now on has no effect, and throws nothing. */
export function mute(response: ServerResponse): void {
  const same = (): ServerResponse => response;
  Object.assign(response, {
    writeHead: same,
    setHeader: same,
    setHeaders: same,
    appendHeader: same,
    removeHeader: same,
    flushHeaders: same,
    writeContinue: same,
    writeProcessing: same,
    writeEarlyHints: same,
    addTrailers: same,
    write: () => true,
    end: same,
  });
}
