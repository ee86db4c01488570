/**
 * What a program may do that was written to be started alone: listen, handle signals, call process.exit(), start
 * workers. Each is replaced before the app is imported, and keeps its meaning as far as a worker has one for it.
 */
import { Capture } from './capture.ts';
import { ExitDoor } from './exit-door.ts';
import { HeldSignals } from './held-signals.ts';
import { refuseClusterWorkers } from './no-cluster.ts';
import { watchStandardStreams } from './standard-streams.ts';

/** What the worker makes of it when its app acts by itself. */
export interface OnOwnAccord {
  /** It calls process.exit(): `now` ends the process, `later` is for the worker to do. `stack` says who called. */
  exits(status: number, stack: string): 'now' | 'later';
  /** It closes the server that is served. */
  closesServer(): void;
  /** This process received SIGTERM. */
  terminated(): void;
  /** An exception that nobody caught. */
  threw(error: unknown, origin: string): void;
}

export interface Unmodified {
  readonly capture: Capture;
  readonly door: ExitDoor;
  readonly signals: HeldSignals;
  /** Waits until stdout and stderr of the app are written, for a while. */
  readonly flushStreams: () => Promise<void>;
  /** From now on the app's acts are told to `acts`. */
  tell(acts: OnOwnAccord): void;
}

export interface UnmodifiedOptions {
  readonly ports: readonly number[];
  readonly checkOnly: boolean;
  readonly warn: (message: string) => void;
}

export function prepareForPrograms(process: NodeJS.Process, { ports, checkOnly, warn }: UnmodifiedOptions): Unmodified {
  let acts: OnOwnAccord = { exits: () => 'now', closesServer: nothing, terminated: nothing, threw: nothing };
  const door = new ExitDoor(process, (status, stack) => acts.exits(status, stack));
  const { PORT: port } = process.env;
  refuseClusterWorkers(process, (error) => acts.threw(error, 'cluster.fork()'));
  process.on('uncaughtException', (error, origin) => {
    if (process.listenerCount('uncaughtException') > 1) return; // the app deals with it itself
    acts.threw(error, origin);
  });
  return {
    capture: new Capture({ ports, port, bindNothing: checkOnly, onClose: () => acts.closesServer(), warn }),
    door,
    signals: new HeldSignals(process, (signal) => {
      if (signal === 'SIGTERM') acts.terminated();
    }),
    flushStreams: watchStandardStreams(process),
    tell: (next) => {
      acts = next;
    },
  };
}

function nothing(): void {}
