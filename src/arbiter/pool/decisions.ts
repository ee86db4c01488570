/** What the pool decides and what it is told: the vocabulary between `pool.ts` and the arbiter. */
import type { ExitName } from '../../errors.ts';

/** Why a worker was replaced; the `reason` label of `tsunicorn_worker_restarts_total`. */
export type RestartReason =
  | 'crash'
  | 'oom'
  | 'stall'
  | 'boot'
  | 'max_requests'
  | 'rss'
  | 'lifetime'
  | 'reload'
  | 'resize';

export type Decision =
  | { readonly do: 'spawn'; readonly workerId: number; readonly slot: number }
  /** Tell the worker that every response is to end its connection; it goes on accepting. */
  | { readonly do: 'close-connections'; readonly workerId: number }
  /**
   * `by`: when it is killed, should it not have ended then. `sweep`: it is to serve what waits in its accept queue, as no
   * successor accepts there.
   */
  | {
      readonly do: 'drain';
      readonly workerId: number;
      readonly quick: boolean;
      readonly sweep: boolean;
      readonly why: string;
      readonly by: number;
    }
  /** `stuck`: its event loop does not turn, so it is asked first where its JavaScript is. */
  | { readonly do: 'kill'; readonly workerId: number; readonly why: string; readonly stuck: boolean }
  /** It looks too large: its garbage is to be collected, and what that frees given back. */
  | { readonly do: 'collect-garbage'; readonly workerId: number }
  | { readonly do: 'cover'; readonly workerId: number; readonly slot: number }
  | { readonly do: 'uncover'; readonly workerId: number; readonly slot: number }
  /** The worker is to be replaced, and goes on serving until then. `soon`: sooner than can be meant. */
  | { readonly do: 'recycle'; readonly workerId: number; readonly why: string; readonly soon: boolean }
  | { readonly do: 'warn'; readonly why: string }
  /** Requests that wait for memory are to be served without: nothing would be gained by replacing a worker. */
  | { readonly do: 'release-holds' }
  | { readonly do: 'release-listeners' }
  | { readonly do: 'give-up-reload'; readonly why: string }
  | { readonly do: 'halt'; readonly exit: ExitName; readonly why: string };

/** Times in seconds, as in the settings of the same names. */
export interface PoolSettings {
  readonly workers: number;
  /** How many workers may boot at the same time, from sizing. */
  readonly bootsAtOnce: number;
  readonly maxRequests: number;
  readonly maxRequestsJitter: number;
  readonly maxWorkerLifetime: 'off' | number;
  /** Bytes, from sizing; undefined is no limit. */
  readonly maxRss: number | undefined;
  readonly timeout: number;
  readonly bootTimeout: number;
  readonly gracefulTimeout: number;
  readonly drainDelay: number;
  readonly crashLimit: number;
  /** Development: what is replaced has to make room quickly. */
  readonly reload: boolean;
}

/** `leaving` is a ready worker that is to be replaced and serves until its replacement is ready. */
export type WorkerState = 'booting' | 'ready' | 'leaving' | 'draining';

export interface WorkerView {
  readonly workerId: number;
  readonly slot: number;
  readonly startedAt: number;
  readonly state: WorkerState;
}

/** How a worker ended, as far as the pool has to know. */
export interface Ending {
  /** One line for people: `exit code 1`, `SIGKILL`, or what the worker said before it went. */
  readonly why: string;
  /** Trying again cannot help: the app is missing or is not one. */
  readonly fatal: boolean;
  /** What the server ends with then; `app` where it is not said. */
  readonly exit?: ExitName | undefined;
  /** The kernel killed it for want of memory. */
  readonly oom?: boolean;
  /** A signal to the whole process group ended it before it could have handlers. */
  readonly interrupted?: boolean;
}
