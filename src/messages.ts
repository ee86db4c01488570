/**
 * What the arbiter and a worker say to each other over the IPC channel.
 * Every message is wrapped in an envelope, since the app shares the channel: `process.send('ready')`, which programs
 * written for other process managers do, must neither be taken for ours nor end anything.
 */
import type { Settings } from './config/settings.ts';
import type { ExitName } from './errors.ts';
import type { MemoryGroup } from './platform/kernel/memory.ts';

/** The settings that a worker needs; plain JSON, so it crosses the channel as it is. */
export type WorkerSettings = Pick<
  Settings,
  | 'app'
  | 'chdir'
  | 'reload'
  | 'backlog'
  | 'workerClass'
  | 'workerConnections'
  | 'timeout'
  | 'requestTimeout'
  | 'keepalive'
  | 'headerTimeout'
  | 'bodyTimeout'
  | 'gracefulTimeout'
  | 'drainDelay'
  | 'logLevel'
  | 'logFormat'
  | 'errorLog'
  | 'accessLog'
  | 'accessLogFormat'
  | 'forwardedAllowIps'
  | 'appMetrics'
  | 'limitHeaderSize'
  | 'limitRequestFields'
  | 'limitRequestLine'
  | 'limitBodySize'
  | 'maxEventLoopLag'
>;

/** Descriptors of a worker: 0 to 2, the IPC channel, the socket for its stack and its last word, and from here on listening sockets. */
export const STACK_FD = 4;
export const FIRST_SOCKET_FD = 5;

/** A listening socket as a worker gets it: `key` names it in later messages, `fd` is the inherited descriptor. */
export interface InheritedListener {
  readonly key: string;
  readonly fd: number;
}

/** Everything a worker has to know to boot. */
export interface WorkerPlan {
  readonly slot: number;
  readonly workerId: number;
  readonly settings: WorkerSettings;
  readonly listeners: readonly InheritedListener[];
  /** TCP ports that the server serves, the one that counts as its PORT first. */
  readonly ports: readonly number[];
  /** What to watch, so that nothing is begun for which there is no memory; undefined is nothing. */
  readonly memory: MemoryGroup | undefined;
  /** The limit of its old space, where that is known. */
  readonly heapLimitBytes: number | undefined;
  /** The server has served: what was right at its start and is not any more costs less than a worker. */
  readonly started: boolean;
  /** `tsunicorn check`: load the app, report, end. */
  readonly checkOnly: boolean;
}

export type ToWorker =
  | { readonly type: 'boot'; readonly plan: WorkerPlan }
  /** Go on accepting, but let every response end its connection. */
  | { readonly type: 'close-connections' }
  /**
   * Stop accepting, finish what is in hand, end. `quick`: idle connections are closed without waiting a moment.
   * `leftMs`: from now until the worker is killed; told, since clocks of two processes have no zero in common.
   * A second one can only make it faster.
   * `sweep`: serve what waits in the accept queues first, as nobody else will.
   */
  | { readonly type: 'drain'; readonly quick: boolean; readonly leftMs: number; readonly sweep: boolean }
  /**
   * A descriptor of listener `key` comes with this message. `cover`: start to accept on it, for a neighbour, and say so.
   * A worker that has no free descriptor never gets the message.
   */
  | { readonly type: 'descriptor'; readonly key: string; readonly cover: boolean }
  | { readonly type: 'uncover'; readonly key: string }
  /** In place of the plan's. */
  | { readonly type: 'memory'; readonly memory: MemoryGroup | undefined }
  /** Requests that wait for memory are to be served without, as are all that come before there is room again. */
  | { readonly type: 'release-hold' }
  /** It looks too large: collect garbage, and give back what that frees. */
  | { readonly type: 'collect-garbage' }
  | { readonly type: 'reload-logs' }
  /** Somebody wants to know: report now, with this number in the answers. */
  | { readonly type: 'report'; readonly serial: number };

/** Labels of a metric's series. */
export type Labels = Readonly<Record<string, string | number>>;

/** Durations by bucket (`observe/metrics/table.ts`; the last is beyond all bounds) and their sum in seconds. */
export interface Durations {
  readonly buckets: readonly number[];
  readonly seconds: number;
}

/** Requests of one method; `codes` by status code. */
export interface MethodReport extends Durations {
  readonly codes: Readonly<Record<string, number>>;
}

/** How a worker's process is at the moment. */
export interface ProcessStats {
  readonly rssBytes: number;
  readonly heapUsedBytes: number;
  readonly heapTotalBytes: number;
  readonly externalBytes: number;
  /** Delay of the event loop in seconds over the last seconds, for each of `LAG_QUANTILES`. */
  readonly lag: readonly number[];
  /** Share of that time in which the event loop was busy, 0 to 1. */
  readonly utilization: number;
}

/** What a worker counted since its last report, and how it is now. */
export interface WorkerReport extends ProcessStats {
  /** Finished requests by method, since the last report. */
  readonly requests: Readonly<Record<string, MethodReport>>;
  /** Requests turned away by tsunicorn itself by reason, since the last report. */
  readonly rejected: Readonly<Record<string, number>>;
  /** Bytes of responses, since the last report. */
  readonly sentBytes: number;
  readonly droppedLogLines: number;
  /** CPU time in seconds, since the last report. */
  readonly cpu: { readonly user: number; readonly system: number };
  /** Garbage collections by kind, since the last report. */
  readonly gc: Readonly<Record<string, Durations>>;
  /** Requests finished since the start of this worker. */
  readonly served: number;
  readonly inFlight: number;
  readonly connections: number;
}

/** A metric of the app's own: name, help, type, and how prom-client is to aggregate it. */
export type AppFamily = readonly [name: string, help: string, type: string, aggregator: string];

/** A series of such a metric: the family's index, what follows the name (`_bucket`), and its labels. */
export type AppSample = readonly [family: number, suffix: string, labels: Labels];

/**
 * What changed in the app's registry since the last report of this worker. Families and series are sent once, and have
 * their index in the order in which they came.
 */
export interface AppReport {
  readonly families: readonly AppFamily[];
  readonly series: readonly AppSample[];
  /**
   * Index and value in turn. Of what only grows the value is the increase, of all else the value itself: as text where
   * JSON has no number for it, and null where the series is no longer there.
   */
  readonly values: readonly (number | string | null)[];
}

export type FromWorker =
  /**
   * The channel is read: send the plan. `stacks`: the worker can be asked for its JavaScript stack. `outOfMemory`: it says
   * so before it ends for want of memory in V8. Both go over the socket {@link STACK_FD}.
   */
  | { readonly type: 'hello'; readonly stacks: boolean; readonly outOfMemory: boolean }
  /** `heapSizeLimitBytes`: V8's limit for the whole heap of this worker. */
  | { readonly type: 'ready'; readonly app: string; readonly heapSizeLimitBytes: number }
  /** What the boot waits for from now on, for the case that it never comes. */
  | { readonly type: 'waiting'; readonly for: string }
  | { readonly type: 'heartbeat'; readonly report: WorkerReport }
  /** A report that is no sign of life: of a new worker, or what was asked for. `more`: an app report follows. */
  | { readonly type: 'report'; readonly serial: number; readonly report: WorkerReport; readonly more: boolean }
  /** `serial` is 0 where nobody asked. */
  | { readonly type: 'app-report'; readonly serial: number; readonly report: AppReport }
  /** It accepts on this listener, which is another slot's. */
  | { readonly type: 'covers'; readonly key: string }
  /** Another descriptor of this listener, please: a worker that stops accepting for a while has to close its own. */
  | { readonly type: 'need-descriptor'; readonly key: string }
  /** There is no memory left for new requests, which wait. `heap`: in this worker's heap, and not in the group. */
  | { readonly type: 'full'; readonly rssBytes: number; readonly heap: boolean }
  /** The worker got a SIGTERM of its own and would like to be replaced. */
  | { readonly type: 'replace-me' }
  /** An uncaught exception: it drains by itself and ends; replace it now. */
  | { readonly type: 'crashing'; readonly reason: string; readonly stack: string | undefined }
  /** The app cannot be served. */
  | ({ readonly type: 'boot-failed' } & LastWords);

/** Why a worker ends. */
export interface LastWords {
  readonly reason: string;
  readonly stack: string | undefined;
  /** Trying again cannot help. */
  readonly fatal: boolean;
  /** What the server ends with then; `app` where it is not said. */
  readonly exit?: ExitName;
}

interface Envelope<M> {
  readonly tsunicorn: M;
}

export function seal<M extends ToWorker | FromWorker>(message: M): Envelope<M> {
  return { tsunicorn: message };
}

/** The message inside, or undefined for what the app itself sent. */
export function unseal<M extends ToWorker | FromWorker>(raw: unknown): M | undefined {
  return typeof raw === 'object' && raw !== null && 'tsunicorn' in raw ? (raw as Envelope<M>).tsunicorn : undefined;
}

/** The app's name in `ready` where there is none and the built-in one is served. */
export const WELCOME_APP = 'the welcome app';
