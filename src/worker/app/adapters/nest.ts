/** A Nest application: the server of its HTTP adapter, once its modules are initialised. */
import { AppLoadError } from '../../../errors.ts';
import { can, type Form } from '../form.ts';
import { isServer, serveServer } from './server.ts';

export const nest: Form = (value) => {
  if (!can(value, 'init', 'getHttpServer', 'getHttpAdapter')) return undefined;
  return async ({ label, waitingFor }) => {
    waitingFor(`init() of ${label}`);
    await value.init();
    const adapter = value.getHttpAdapter();
    const instance = can(adapter, 'getInstance') ? adapter.getInstance() : undefined;
    // Nest on Fastify leaves this to its own listen().
    if (can(instance, 'ready', 'inject')) await instance.ready();
    const server = value.getHttpServer();
    if (!isServer(server)) throw new AppLoadError(`${label} has a server that is none of node:http`);
    return serveServer(server, label);
  };
};
