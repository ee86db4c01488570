/** What apps may import from `tsunicorn`. No app needs to. */
import { identityIn, type WorkerIdentity } from './config/worker-identity.ts';
import { contextHook, type RequestContext } from './context-hook.ts';
import { type MessageSender, workerHook } from './worker-hook.ts';

export type { WorkerIdentity } from './config/worker-identity.ts';
export type { RequestContext } from './context-hook.ts';
export { version } from './version.ts';
export type { FetchHandler, FetchInfo, FetchRequest, NodeHandler } from './worker/app/app.ts';
export type { MessageSender } from './worker-hook.ts';

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

/**
 * Sends `message` to every other worker that called {@link onMessage}; under plain `node` there is none. It is copied as
 * by `postMessage()`, and may have 4 MiB. Resolves when there is room for more, so await it where many are sent.
 *
 * @throws {DOMException} DataCloneError: a function or the like is in it
 * @throws {RangeError} ERR_TSUNICORN_MESSAGE_SIZE: it is too large
 * @throws {Error} ERR_TSUNICORN_MESSAGE_QUEUE: 32 MiB wait, as the promises were not awaited
 */
export function broadcast(message: unknown): Promise<void> {
  const hook = workerHook();
  if (hook) return hook.broadcast(message);
  structuredClone(message); // the same errors while developing
  return Promise.resolve();
}

/**
 * Calls `handler` with every message that another worker broadcasts from now on, in the order in which that worker sent
 * them. Returns what ends that.
 */
export function onMessage<T = unknown>(handler: (message: T, from: MessageSender) => void): () => void {
  return workerHook()?.onMessage((message, from) => handler(message as T, from)) ?? (() => {});
}
