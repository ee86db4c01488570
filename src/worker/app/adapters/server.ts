/** An http.Server that is not listening, with all its listeners. */
import type { Server } from 'node:http';
import { AppLoadError } from '../../../errors.ts';
import type { App } from '../app.ts';
import { can, type Form } from '../form.ts';

export const server: Form = (value) => (isServer(value) ? ({ label }) => serveServer(value, label) : undefined);

export function serveServer(server: Server, label: string): App {
  if ('setSecureContext' in server) {
    throw new AppLoadError(
      `${label} is an HTTPS server, and its certificate cannot be used on the sockets of tsunicorn. Make it with node:http, and let a proxy in front do the TLS`,
    );
  }
  if (server.listening) {
    throw new AppLoadError(`${label} is a server that listens already; export it without calling listen()`);
  }
  return { kind: 'server', name: label, server };
}

/** The app may bring a server class of its own. */
export function isServer(value: unknown): value is Server {
  return can(value, 'listen', 'emit') && 'maxHeadersCount' in value;
}
