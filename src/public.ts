/** What apps may import from `tsunicorn`. No app needs to. */
import { IDENTITY_VARIABLES, identityIn, type WorkerIdentity } from './config/worker-identity.ts';
import { contextHook, type RequestContext } from './context-hook.ts';
import { type LeaderJob, type MessageSender, type WorkerHook, workerHook } from './worker-hook.ts';

export type { WorkerIdentity } from './config/worker-identity.ts';
export type { RequestContext } from './context-hook.ts';
export { version } from './version.ts';
export type { FetchHandler, FetchInfo, FetchRequest, NodeHandler } from './worker/app/app.ts';
export type { LeaderJob, MessageSender } from './worker-hook.ts';

// Workers carry contexts only for apps that import this.
contextHook()?.enable();

/**
 * The ids of the current request, for an app's own log: `pino({ mixin: () => requestContext() ?? {} })`. Undefined
 * outside a request, and if the app does not run under tsunicorn.
 */
export function requestContext(): RequestContext | undefined {
  return contextHook()?.current();
}

// biome-ignore lint/style/noProcessEnv: the app imports this and passes nothing on
const ENV = process.env;
const IN_WORKER = ENV[IDENTITY_VARIABLES.id] !== undefined;

/** Which worker this is. Under plain `node` it is the only one: slot 0, id 1, generation 1. */
export const worker: WorkerIdentity = identityIn(ENV);

/**
 * Runs `job` in exactly one worker of this server, never in two at a time: also across reloads, crashes and resizing.
 * When that worker drains, `signal` is aborted, and the next one starts once the promise of `job` has settled. What a
 * `job` leaves running that returns before, it must end when `signal` is aborted; without a listener for that, the next
 * worker starts when this one has ended. Under plain `node` it runs at once.
 */
export function onLeader(job: LeaderJob): void {
  const hook = ownHook('onLeader');
  if (hook) return hook.onLeader(job);
  if (IN_WORKER) throw new Error(NOT_HERE('onLeader'));
  void (async () => await job(new AbortController().signal))();
}

/**
 * Says whether this worker is ready. `false` while it boots holds its readiness until `true`; later, new connections go
 * to other workers, where one is ready, and `/readyz` does not count it. Under plain `node` it does nothing.
 */
export function setReady(ready: boolean): void {
  ownHook('setReady')?.setReady(Boolean(ready));
}

/**
 * Sends `message` to every other worker that called {@link onMessage}; under plain `node` there is none. It is copied as
 * by `postMessage()`, and may have 4 MiB. Resolves when there is room for more, so await it where many are sent.
 *
 * @throws {DOMException} DataCloneError: a function or the like is in it
 * @throws {RangeError} ERR_TSUNICORN_MESSAGE_SIZE: it is too large
 * @throws {Error} ERR_TSUNICORN_MESSAGE_QUEUE: 32 MiB wait, as the promises were not awaited
 */
export function broadcast(message: unknown): Promise<void> {
  const hook = ownHook('broadcast');
  if (hook) return hook.broadcast(message);
  structuredClone(message); // the same errors while developing
  return Promise.resolve();
}

/**
 * Calls `handler` with every message that another worker broadcasts from now on, in the order in which that worker sent
 * them. Returns what ends that.
 */
export function onMessage<T = unknown>(handler: (message: T, from: MessageSender) => void): () => void {
  return ownHook('onMessage')?.onMessage((message, from) => handler(message as T, from)) ?? (() => {});
}

const NOT_HERE = (name: string): string =>
  `${name}() works in the main thread of a worker: not in its threads, nor in processes that it starts`;

/** Undefined under plain `node`. */
function ownHook(name: string): WorkerHook | undefined {
  const hook = workerHook();
  const { isMainThread } = process.getBuiltinModule('node:worker_threads');
  // A thread of a worker would take itself for the only worker.
  if (!hook && !isMainThread && IN_WORKER) throw new Error(NOT_HERE(name));
  return hook;
}
