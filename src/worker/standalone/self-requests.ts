/**
 * A program that asks itself, such as a page that asks its own API, may do so at the port that it has given to
 * `listen()`. It listens there in name only, so the connection is refused, and the log says what helps.
 */
import { subscribe } from 'node:diagnostics_channel';
import { errorMonitor } from 'node:events';
import type { Socket } from 'node:net';
import { isObject } from '../app/duck-typing.ts';

export interface SelfRequestOptions {
  /** Whether the program listens there in name only. */
  readonly isInName: (place: number | string) => boolean;
  /** TCP ports that the server serves. */
  readonly ports: readonly number[];
  /** `TSUNICORN_BIND` is given, and `PORT` has no effect. */
  readonly bindIsGiven: boolean;
  readonly warn: (message: string) => void;
}

const REFUSED = ['ECONNREFUSED', 'ENOENT'];
const LOOPBACK = /^(127\.|::1$|::ffff:127\.|0\.0\.0\.0$|::$)/;

export function hintAtSelfRequests({ isInName, ports, bindIsGiven, warn }: SelfRequestOptions): void {
  const told = new Set<number | string>();
  subscribe('net.client.socket', (message) => {
    const { socket } = message as { readonly socket: Socket };
    socket.once(errorMonitor, (error: unknown) => {
      const place = refusedAt(error);
      if (place === undefined || told.has(place) || (typeof place === 'number' && ports.includes(place))) return;
      if (!isInName(place)) return;
      told.add(place);
      const where = typeof place === 'number' ? `port ${place}` : place;
      const served = ports.length > 0 ? ` on port ${ports.join(', ')}` : '';
      const cure = bindIsGiven || typeof place === 'string' ? `Add ${where} to TSUNICORN_BIND` : `Set PORT=${place}`;
      warn(
        `the app connects to itself on ${where}, where it listens in name only: tsunicorn serves it${served}. ${cure}, or let it connect to the port in process.env.PORT`,
      );
    });
  });
}

/** A port of this machine or the path of a socket; undefined for any other error. */
function refusedAt(error: unknown): number | string | undefined {
  if (!isObject(error)) return undefined;
  // Several addresses of `localhost` were tried.
  const [first = error] = Array.isArray(error.errors) ? error.errors : [];
  const { code, port, address } = first;
  if (!REFUSED.includes(String(code)) || typeof address !== 'string') return undefined;
  if (port === undefined) return address;
  return LOOPBACK.test(address) ? Number(port) : undefined;
}
