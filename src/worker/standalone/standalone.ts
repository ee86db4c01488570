/**
 * What a program may do that was written to be started alone: listen, handle signals, call process.exit(), start
 * workers. Each is replaced before the app is imported, and keeps its meaning as far as a worker has one for it.
 */
import { Capture } from './capture.ts';
import { refuseClusterWorkers } from './cluster.ts';
import { ProcessExit } from './process-exit.ts';
import { SignalHandlers } from './signal-handlers.ts';
import { watchStandardStreams } from './standard-streams.ts';

/** What the worker makes of it when its app acts by itself. */
export interface AppActions {
  /** It calls process.exit(): `now` ends the process, `later` is for the worker to do. `stack` says who called. */
  exits(status: number, stack: string): 'now' | 'later';
  /** It closes the server that is served. */
  closesServer(): void;
  /** This process received SIGTERM. */
  terminated(): void;
  /** An exception that nobody caught. */
  threw(error: unknown, origin: string): void;
}

export interface Standalone {
  readonly capture: Capture;
  readonly door: ProcessExit;
  readonly signals: SignalHandlers;
  /** Waits until stdout and stderr of the app are written, for a while. */
  readonly flushStreams: () => Promise<void>;
  /** From now on the app's acts are told to `acts`. */
  tell(acts: AppActions): void;
}

export interface StandaloneOptions {
  readonly ports: readonly number[];
  readonly checkOnly: boolean;
  readonly warn: (message: string) => void;
}

export function prepareStandalone(process: NodeJS.Process, { ports, checkOnly, warn }: StandaloneOptions): Standalone {
  let acts: AppActions = { exits: () => 'now', closesServer: nothing, terminated: nothing, threw: nothing };
  const door = new ProcessExit(process, (status, stack) => acts.exits(status, stack));
  const { PORT: port } = process.env;
  refuseClusterWorkers(process, (error) => acts.threw(error, 'cluster.fork()'));
  process.on('uncaughtException', (error, origin) => {
    if (process.listenerCount('uncaughtException') > 1) return; // the app deals with it itself
    acts.threw(error, origin);
  });
  return {
    capture: new Capture({ ports, port, bindNothing: checkOnly, onClose: () => acts.closesServer(), warn }),
    door,
    signals: new SignalHandlers(process, (signal) => {
      if (signal === 'SIGTERM') acts.terminated();
    }),
    flushStreams: watchStandardStreams(process),
    tell: (next) => {
      acts = next;
    },
  };
}

function nothing(): void {}
