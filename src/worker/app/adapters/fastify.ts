/** A Fastify instance: its own server, once its plugins are loaded, so that their `upgrade` listeners are there too. */
import { AppLoadError } from '../../../errors.ts';
import { can, type Form } from '../form.ts';
import { isServer, serveServer } from './server.ts';

export const fastify: Form = (value) => {
  if (!can(value, 'ready', 'inject') || !('server' in value)) return undefined;
  return async ({ label, waitingFor }) => {
    waitingFor(`ready() of ${label}`);
    await value.ready();
    if (!isServer(value.server)) {
      throw new AppLoadError(`${label} has a server that is none of node:http; make it without the option http2`);
    }
    return serveServer(value.server, label);
  };
};
