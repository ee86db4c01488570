/**
 * What a program written to be started alone does: listen, handle signals, call process.exit(), fork workers. Each is
 * replaced before the app is imported, and keeps its meaning where a worker has one for it.
 */
import type { ChildProcess, ForkOptions } from 'node:child_process';
import { AppLoadError } from '../../errors.ts';
import { exitDespiteWrites } from '../../platform/thread-writes.ts';
import { isObject } from '../app/duck-typing.ts';
import { Capture, type CaptureOptions } from './capture.ts';
import { deferSignals, type RunHandlers } from './deferred-signals.ts';
import { watchStandardStreams } from './standard-streams.ts';

/** What the worker does when its app acts on the process. */
export interface AppActions {
  /** It called process.exit(): `now` ends the process, `later` leaves that to the worker. `stack` shows the caller. */
  exits(status: number, stack: string): 'now' | 'later';
  /** It closed the server that is served. */
  closesServer(): void;
  /** This process received SIGTERM. */
  terminated(): void;
  /** An uncaught exception. */
  threw(error: unknown, origin: string): void;
}

export class Standalone {
  readonly capture: Capture;
  readonly exit: ReturnType<typeof interceptExit>;
  /** Those for SIGTERM, else for SIGINT. */
  readonly runHandlers: RunHandlers;
  /** Waits, for a while, until the app's stdout and stderr are written. */
  readonly flushStreams: () => Promise<void>;
  actions: AppActions = { exits: () => 'now', closesServer() {}, terminated() {}, threw() {} };

  constructor(process: NodeJS.Process, options: Omit<CaptureOptions, 'onClose'>) {
    refuseClusterWorkers(process, (error) => this.actions.threw(error, 'cluster.fork()'));
    process.on('uncaughtException', (error, origin) => {
      if (process.listenerCount('uncaughtException') > 1) return; // the app handles it itself
      this.actions.threw(error, origin);
    });
    this.capture = new Capture({ ...options, onClose: () => this.actions.closesServer() });
    this.exit = interceptExit(process, (status, stack) => this.actions.exits(status, stack));
    this.runHandlers = deferSignals(process, (signal) => {
      if (signal === 'SIGTERM') this.actions.terminated();
    });
    this.flushStreams = watchStandardStreams(process);
  }
}

/**
 * A worker may have requests in flight when the app calls process.exit(). `onExit` gets the caller's `stack` and says
 * whether to end the process `now`. Beside `main.ts` this is the only place that exits: at an app's exit, and at SIGTERM
 * while it boots.
 */
function interceptExit(process: NodeJS.Process, onExit: (status: number, stack: string) => 'now' | 'later') {
  const { exit } = process;
  const { promise: requested, resolve } = Promise.withResolvers<void>();
  const intercepted = {
    /** Resolves once the app has called for an exit later. */
    requested,
    /** Of the app's first call for an exit later; undefined if there was none. */
    status: undefined as number | undefined,
    now(status: number): never {
      exitDespiteWrites(process);
      return Reflect.apply(exit, process, [status]);
    },
    restore(): void {
      process.exit = exit;
    },
  };
  process.exit = function appExits(code?: number | string | null): void {
    const status = Number(code ?? process.exitCode ?? 0);
    const trace = { name: 'process.exit()', message: 'called', stack: '' };
    Error.captureStackTrace(trace, appExits);
    if (onExit(status, trace.stack) === 'now') intercepted.now(status);
    intercepted.status ??= status;
    resolve();
  } as NodeJS.Process['exit'];
  return intercepted;
}

/** By this variable node:cluster tells a process that it is a worker. */
const CLUSTER_VARIABLE = 'NODE_UNIQUE_ID';

const REFUSAL =
  'the app called cluster.fork(), but tsunicorn starts the workers (TSUNICORN_WORKERS is their number). Point TSUNICORN_APP at the code that such a worker runs, or call that code instead of cluster.fork()';

type Fork = (...args: [string, ...unknown[]]) => ChildProcess;

/**
 * From now on `cluster.fork()` throws, after a call of `refused`. node:cluster calls node:child_process' fork() as it was
 * when node:cluster was loaded; a process with an IPC channel has loaded child_process anyway, so replacing it is free.
 */
function refuseClusterWorkers(process: NodeJS.Process, refused: (error: AppLoadError) => void): void {
  const refuse = (): never => {
    const error = new AppLoadError(REFUSAL);
    refused(error);
    throw error;
  };
  const childProcess = process.getBuiltinModule('node:child_process') as unknown as { fork: Fork };
  const { fork } = childProcess;
  childProcess.fork = (...args) => {
    const options = args.find((arg) => isObject(arg) && 'env' in arg) as ForkOptions | undefined;
    return options?.env?.[CLUSTER_VARIABLE] === undefined ? fork(...args) : refuse();
  };
  // A preloaded module (--import) may have loaded node:cluster before.
  const { moduleLoadList = [] } = process as { moduleLoadList?: readonly string[] };
  if (moduleLoadList.includes('NativeModule cluster')) {
    (process.getBuiltinModule('node:cluster') as unknown as { fork: () => never }).fork = refuse;
  }
}
