/**
 * What a program written to be started alone does: listen, handle signals, call process.exit(), fork workers. Each is
 * replaced before the app is imported, and keeps its meaning where a worker has one for it.
 */
import { Capture, type CaptureOptions } from './capture.ts';
import { refuseClusterWorkers } from './cluster.ts';
import { deferSignals, type RunHandlers } from './deferred-signals.ts';
import { interceptExit, type ProcessExit } from './process-exit.ts';
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
  readonly exit: ProcessExit;
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
