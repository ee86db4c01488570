/**
 * What a program written to be started alone does: listen, handle signals, call process.exit(), fork workers. Each is
 * replaced before the app is imported, and keeps its meaning where a worker has one for it.
 */
import type { Server } from 'node:http';
import { exitDespiteWrites } from '../../platform/thread-writes.ts';
import { type ProcessEvents, TAKEN } from '../process-events.ts';
import { Capture, type CaptureOptions } from './capture.ts';
import { Cluster, type ClusterActions, type ClusterOptions } from './cluster.ts';
import { deferSignals, type RunHandlers } from './deferred-signals.ts';
import { hintAtSelfRequests } from './self-requests.ts';
import { watchStandardStreams } from './standard-streams.ts';

/** What the worker does when its app acts on the process. */
export interface AppActions extends ClusterActions {
  /**
   * It called process.exit(): `now` ends the process, `later` leaves that to the worker. `stack` shows the caller; `after`
   * is an uncaught exception that its own listener has had just before.
   */
  exits(status: number, stack: string, after: unknown): 'now' | 'later';
  /** It closed the server that is served. `handOver`: see {@link CaptureOptions}. */
  closesServer(handOver: () => Promise<boolean>): void;
  /** It listens with a server that takes the place of the one that is served. */
  takesOver(server: Server): void;
  /** This process received SIGTERM. */
  terminated(): void;
}

export interface StandaloneOptions extends Omit<CaptureOptions, 'onClose' | 'onTakeOver'> {
  readonly cluster: ClusterOptions;
  readonly bindIsGiven: boolean;
  /** Of this worker, where `warn` is of the first alone. */
  readonly warnHere: (message: string) => void;
}

/** From an uncaught exception to the exit that it is the reason of: error trackers wait two seconds for their last request. */
const LAST_WORDS_MS = 5_000;

export class Standalone {
  readonly cluster: Cluster;
  readonly capture: Capture;
  readonly exit: ReturnType<typeof interceptExit>;
  /** Those for SIGTERM, else for SIGINT. */
  readonly runHandlers: RunHandlers;
  /** Waits, for a while, until the app's stdout and stderr are written. */
  readonly flushStreams: () => Promise<void>;
  actions: AppActions = {
    exits: () => 'now',
    closesServer() {},
    takesOver() {},
    terminated() {},
    leaves() {},
    threw() {},
  };

  /** An uncaught exception that the app's own listener has, and when. */
  #caught: { readonly error: unknown; readonly at: number } | undefined;

  constructor(process: NodeJS.Process, events: ProcessEvents, options: StandaloneOptions) {
    this.cluster = new Cluster(process, options.cluster, () => this.actions);
    events.on('uncaughtException', (error: unknown, origin: string) => {
      if (process.listenerCount('uncaughtException') > 0) {
        this.#caught = { error, at: performance.now() };
        return undefined;
      }
      this.actions.threw(error, origin);
      return TAKEN;
    });
    this.capture = new Capture({
      ...options,
      onClose: (handOver) => this.actions.closesServer(handOver),
      onTakeOver: (server) => this.actions.takesOver(server),
    });
    hintAtSelfRequests({ ...options, isInName: (place) => this.capture.isInName(place), warn: options.warnHere });
    this.exit = interceptExit(process, (status, stack) => {
      const { error, at = Number.NEGATIVE_INFINITY } = this.#caught ?? {};
      return this.actions.exits(status, stack, performance.now() - at < LAST_WORDS_MS ? error : undefined);
    });
    this.runHandlers = deferSignals(process, events, (signal) => {
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
