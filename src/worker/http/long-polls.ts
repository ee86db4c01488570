/**
 * Engine.IO's long polls, below Socket.IO's: requests that wait for the server to have something to say, 25 s by default.
 * They would hold up every drain, and after it the client would ask a worker that does not know its session. So a worker
 * that drains answers them with the protocol's own packet "close" (https://socket.io/docs/v4/engine-io-protocol/), and
 * the client connects anew at once.
 */
import type { ServerResponse } from 'node:http';
import { mute } from './error-responses.ts';

const PROTOCOL = /[?&]EIO=([34])(&|$)/;
const POLLING = /[?&]transport=polling(&|$)/;
const SESSION = /[?&]sid=([^&]+)/;
/** Polling by script tags, for browsers of 2010, has another form. */
const JSONP = /[?&]j=/;

export interface PollingRequest {
  readonly session: string;
  /** The packet "close" in the protocol's version; undefined for a message from the client. */
  readonly close: string | undefined;
}

/** Undefined where the request belongs to no session that polls. */
export function pollingRequest(method: string, url: string): PollingRequest | undefined {
  if (!url.includes('EIO=')) return undefined;
  const version = PROTOCOL.exec(url)?.[1];
  const session = SESSION.exec(url)?.[1];
  if (version === undefined || session === undefined || !POLLING.test(url) || JSONP.test(url)) return undefined;
  return { session, close: method !== 'GET' ? undefined : version === '3' ? '1:1' : '1' };
}

/** With the fields that were set so far, such as those of CORS. To the app it looks as if the client had gone. */
export function answerPoll(response: ServerResponse, packet: string): void {
  response.writeHead(200, {
    'Content-Type': 'text/plain; charset=UTF-8',
    'Content-Length': packet.length,
    Connection: 'close',
  });
  response.end(packet);
  mute(response); // Engine.IO closes the session as its client is gone, and would write the packet too
}
