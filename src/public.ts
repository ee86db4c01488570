/** What apps may import from `tsunicorn`. No app needs to. */
import { identityIn, type WorkerIdentity } from './config/worker-identity.ts';
import { contextHook, type RequestContext } from './context-hook.ts';

export type { WorkerIdentity } from './config/worker-identity.ts';
export type { RequestContext } from './context-hook.ts';
export { version } from './version.ts';
export type { FetchHandler, FetchInfo, FetchRequest, NodeHandler } from './worker/app/app.ts';

// Workers carry contexts only for apps that import this.
contextHook()?.enable();

/**
 * The ids of the current request, for an app's own log: `pino({ mixin: () => requestContext() ?? {} })`. Undefined
 * outside a request, and if the app does not run under tsunicorn.
 */
export function requestContext(): RequestContext | undefined {
  return contextHook()?.current();
}

/** Which worker this is. Under plain `node` it is the only one: slot 0, id 1, generation 1. */
// biome-ignore lint/style/noProcessEnv: the app imports this and passes nothing on
export const worker: WorkerIdentity = identityIn(process.env);
