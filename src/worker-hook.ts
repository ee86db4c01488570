/**
 * How the app's copy of this package reaches the worker that runs it (see context-hook.ts: it may be another copy than
 * the worker's).
 */

/** Of a message: the worker that sent it. */
export interface MessageSender {
  readonly slot: number;
  /** Its number among all workers that this server ever started. */
  readonly id: number;
}

export type MessageHandler = (message: unknown, from: MessageSender) => void;

/** Runs in one worker at a time. `signal` is aborted when it has to stop. */
export type LeaderJob = (signal: AbortSignal) => unknown;

/** Set by a worker before it loads the app. Only ever extend it: the other side may be an older or newer copy. */
export interface WorkerHook {
  broadcast(message: unknown): Promise<void>;
  onMessage(handler: MessageHandler): () => void;
  onLeader(job: LeaderJob): void;
  setReady(ready: boolean): void;
}

const HOOK = Symbol.for('tsunicorn.worker');

const carrier: typeof globalThis & { [HOOK]?: WorkerHook } = globalThis;

export function setWorkerHook(hook: WorkerHook): void {
  carrier[HOOK] = hook;
}

export function workerHook(): WorkerHook | undefined {
  return carrier[HOOK];
}
