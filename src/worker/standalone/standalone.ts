/**
 * What a program written to be started alone does: listen, handle signals, call process.exit(), fork workers. Each is
 * replaced before the app is imported, and keeps its meaning where a worker has one for it.
 */
import { Capture, type CaptureOptions } from './capture.ts';
import { refuseClusterWorkers } from './cluster.ts';
import { type DeferredSignals, deferSignals } from './deferred-signals.ts';
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

export interface Standalone {
  readonly capture: Capture;
  readonly exit: ProcessExit;
  readonly signals: DeferredSignals;
  /** Waits, for a while, until the app's stdout and stderr are written. */
  readonly flushStreams: () => Promise<void>;
  setActions(actions: AppActions): void;
}

export function prepareStandalone(
  process: NodeJS.Process,
  options: Omit<CaptureOptions, 'port' | 'onClose'>,
): Standalone {
  let actions: AppActions = { exits: () => 'now', closesServer() {}, terminated() {}, threw() {} };
  const { PORT: port } = process.env;
  refuseClusterWorkers(process, (error) => actions.threw(error, 'cluster.fork()'));
  process.on('uncaughtException', (error, origin) => {
    if (process.listenerCount('uncaughtException') > 1) return; // the app handles it itself
    actions.threw(error, origin);
  });
  return {
    capture: new Capture({ ...options, port, onClose: () => actions.closesServer() }),
    exit: interceptExit(process, (status, stack) => actions.exits(status, stack)),
    signals: deferSignals(process, (signal) => {
      if (signal === 'SIGTERM') actions.terminated();
    }),
    flushStreams: watchStandardStreams(process),
    setActions: (next) => {
      actions = next;
    },
  };
}
