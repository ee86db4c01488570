/** The vocabulary between the pool and the arbiter. */
import type { Settings } from '../../config/settings.ts';
import type { ExitName } from '../../errors.ts';
import type { RESTART_REASONS } from '../../observe/metrics/table.ts';
import type { Sizing } from '../../sizing.ts';

/** Why a worker was replaced; the `reason` label of `tsunicorn_worker_restarts_total`. */
export type RestartReason = (typeof RESTART_REASONS)[number];

export type Decision =
  | { readonly do: 'spawn'; readonly workerId: number; readonly slot: number }
  /** End the connection with every response; the worker goes on accepting. */
  | { readonly do: 'close-connections'; readonly workerId: number }
  | ({ readonly do: 'drain'; readonly workerId: number } & DrainOrder)
  /** `stuck`: its event loop does not turn, so ask it for its JavaScript stack first. */
  | { readonly do: 'kill'; readonly workerId: number; readonly why: string; readonly stuck: boolean }
  /** Its RSS exceeds the limit: collect garbage and give the pages back before that counts. */
  | { readonly do: 'collect-garbage'; readonly workerId: number }
  /** Accept for a slot whose own worker does not, until it is handed back. */
  | { readonly do: 'take-over' | 'hand-back'; readonly workerId: number; readonly slot: number }
  /** No other worker leads, and none will until this one has resigned or ended. */
  | { readonly do: 'lead'; readonly workerId: number }
  /** The worker serves until its replacement is ready. `soon`: so early that a setting is probably wrong. */
  | { readonly do: 'recycle'; readonly workerId: number; readonly why: string; readonly soon: boolean }
  | { readonly do: 'warn'; readonly why: string }
  | { readonly do: 'give-up-reload'; readonly why: string }
  /** Serve the requests that wait for memory: replacing a worker would free none. */
  | { readonly do: 'release-holds' }
  | { readonly do: 'release-listeners' }
  | { readonly do: 'halt'; readonly exit: ExitName; readonly why: string };

/** `by`: when it is killed. `drainQueue`: it drains its accept queue too, as no successor accepts there. */
export interface DrainOrder {
  readonly why: string;
  readonly by: number;
  readonly quick: boolean;
  readonly drainQueue: boolean;
}

/** Times in seconds, sizes in bytes. */
export type PoolSettings = Readonly<
  Pick<Settings, 'maxRequests' | 'maxRequestsJitter' | 'maxWorkerLifetime' | 'timeout' | 'bootTimeout'> &
    Pick<Settings, 'gracefulTimeout' | 'drainDelay' | 'crashLimit' | 'reload'> &
    Pick<Sizing, 'workers' | 'bootsAtOnce' | 'maxRss'>
>;

/** Whether a worker runs what must run once: its app never asked, or gave it back; it would; it does. */
export type Lead = 'none' | 'sought' | 'held';

/** `leaving` is a ready worker that serves until its replacement is ready. */
export type WorkerState = 'booting' | 'ready' | 'leaving' | 'draining';
