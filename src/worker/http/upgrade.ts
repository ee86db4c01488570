/**
 * WebSocket handshakes at an app without an `upgrade` listener. Node.js hands them to the app as ordinary requests, and
 * a page with status 200 is a riddle to whoever wanted a WebSocket; here they get an answer that says what is wrong.
 * Any other Upgrade, such as the h2c that curl offers, is ignored, as RFC 9110, section 7.8 lets a server do.
 */
import type { IncomingMessage, Server } from 'node:http';

/** 16 bytes in base64 (RFC 6455, section 4.2.1). */
const KEY = /^[\w+/]{21}[AQgw]==$/;

/** What the answer has to have beside its status. */
const HTTP_ONLY: Readonly<Record<string, string>> = {
  // The protocols that would do (RFC 9110, section 15.5.22); whoever sends Upgrade says so in Connection.
  Upgrade: 'HTTP/1.1',
  Connection: 'close, Upgrade',
};

/** The answer to a handshake that nobody takes; undefined for everything else. */
export function handshakeRefusal(
  request: IncomingMessage,
  server: Server,
): { readonly status: number; readonly headers: Readonly<Record<string, string>> } | undefined {
  if (!hasUpgrade(request.rawHeaders) || server.listenerCount('upgrade') > 0) return undefined;
  const { headers } = request;
  if (!hasToken(headers.upgrade, 'websocket') || !hasToken(headers.connection, 'upgrade')) return undefined;
  const isValid = request.method === 'GET' && KEY.test(headers['sec-websocket-key'] ?? '');
  return isValid ? { status: 426, headers: HTTP_ONLY } : { status: 400, headers: {} };
}

/** Looks through the raw list: `headers` would build all of them, and hardly any request has this one. */
function hasUpgrade(rawHeaders: readonly string[]): boolean {
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string;
    if (name.length === 7 && name.toLowerCase() === 'upgrade') return true;
  }
  return false;
}

function hasToken(list: string | undefined, token: string): boolean {
  return (list ?? '').split(',').some((element) => element.trim().toLowerCase() === token);
}
