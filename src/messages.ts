/**
 * The IPC messages between the arbiter and a worker. The app shares the channel, so ours travel in an envelope: what the
 * app sends for itself, such as `process.send('ready')`, is not taken for ours, and what it forges is refused by shape.
 */
import type { Settings } from './config/settings.ts';
import { EXIT_CODES, type ExitName } from './errors.ts';
import type { MemoryGroup } from './platform/kernel/memory.ts';

/** Descriptors of a worker: 0 to 2, the IPC channel, the socket for stacks and out-of-memory reports, then the listeners. */
export const STACK_FD = 4;
export const FIRST_SOCKET_FD = 5;

/** A listening socket as a worker gets it: `key` names it in later messages, `fd` is the inherited descriptor. */
export interface InheritedListener {
  readonly key: string;
  readonly fd: number;
}

/** Everything a worker has to know to boot; plain JSON. */
export interface WorkerPlan {
  readonly slot: number;
  /** Its number among all workers ever started. */
  readonly workerId: number;
  readonly settings: Settings;
  readonly listeners: readonly InheritedListener[];
  /** TCP ports that the server serves; the first is the app's PORT. */
  readonly ports: readonly number[];
  /** The cgroup whose memory limit admits requests; undefined admits all. */
  readonly memory: MemoryGroup | undefined;
  /** The limit of its old space, where that is known. */
  readonly heapLimitBytes: number | undefined;
  /** The server has served before: a log file that cannot be opened now is no reason to fail. */
  readonly started: boolean;
  /** `tsunicorn check`: load the app, report, end. */
  readonly checkOnly: boolean;
}

export type ToWorker =
  | { readonly type: 'boot'; readonly plan: WorkerPlan }
  /** Go on accepting, but let every response end its connection. */
  | { readonly type: 'close-connections' }
  /**
   * Stop accepting, finish the requests in flight, end. A second one can only make it faster.
   * `quick`: close idle connections at once. `leftMs`: from now until the worker is killed; the clocks of two processes
   * have no zero in common. `drainQueue`: drain the accept queues first, as no other worker will.
   */
  | { readonly type: 'drain'; readonly quick: boolean; readonly leftMs: number; readonly drainQueue: boolean }
  /**
   * Comes with a descriptor of listener `key`. `takeOver`: accept on it for another slot, and answer `took-over`.
   * A worker without a free descriptor never gets this message.
   */
  | { readonly type: 'descriptor'; readonly key: string; readonly takeOver: boolean }
  /** Its slot has a worker of its own again: stop accepting on it. */
  | { readonly type: 'hand-back'; readonly key: string }
  /** Replaces the plan's. */
  | { readonly type: 'memory-limit'; readonly memory: MemoryGroup | undefined }
  /** Admit the requests that wait for memory, and all others until there is room again. */
  | { readonly type: 'release-hold' }
  /** Collect garbage and give the pages back: the worker looks too large. */
  | { readonly type: 'collect-garbage' }
  | { readonly type: 'reload-logs' }
  /** Report now, with this number in the answers. */
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

/** A worker's process as it is now. */
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

/** Counts since the last report, and the process as it is now. */
export interface WorkerReport extends ProcessStats {
  /** Finished requests by method, since the last report. */
  readonly requests: Readonly<Record<string, MethodReport>>;
  /** Requests that tsunicorn refused, by reason, since the last report. */
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

/** A metric of the app: name, help, type, and how prom-client aggregates it. */
export type AppFamily = readonly [name: string, help: string, type: string, aggregator: string];

/** A series of it: the family's index, what follows the name (`_bucket`), and its labels. */
export type AppSample = readonly [family: number, suffix: string, labels: Labels];

/** Changes in the app's registry since the worker's last report. Families and series are sent once, in index order. */
export interface AppReport {
  readonly families: readonly AppFamily[];
  readonly series: readonly AppSample[];
  /**
   * Index and value in turn: the increase of a series that only grows, else the value; as text where JSON has no number
   * for it, null where the series is gone.
   */
  readonly values: readonly (number | string | null)[];
}

export type FromWorker =
  /**
   * The worker reads the channel: send the plan. `stacks`: it can be asked for its JavaScript stack. `outOfMemory`: it
   * says so before V8 ends it for lack of memory. Both go over {@link STACK_FD}.
   */
  | { readonly type: 'hello'; readonly stacks: boolean; readonly outOfMemory: boolean }
  /** What the boot waits for from now on, in case that never comes. */
  | { readonly type: 'boot-progress'; readonly waitingFor: string }
  | ({ readonly type: 'boot-failed' } & WorkerFailure)
  /** `heapSizeLimitBytes`: V8's limit for the whole heap of this worker. */
  | { readonly type: 'ready'; readonly app: string; readonly heapSizeLimitBytes: number }
  | { readonly type: 'heartbeat'; readonly report: WorkerReport }
  /** A report that is no sign of life: a new worker's first, or one that was asked for. `more`: an app-report follows. */
  | { readonly type: 'report'; readonly serial: number; readonly report: WorkerReport; readonly more: boolean }
  /** `serial` is 0 where nobody asked. */
  | { readonly type: 'app-report'; readonly serial: number; readonly report: AppReport }
  /** It accepts on this listener of another slot. */
  | { readonly type: 'took-over'; readonly key: string }
  /** Another descriptor of this listener, please: a worker that pauses accepting has to close its own. */
  | { readonly type: 'need-descriptor'; readonly key: string }
  /** New requests wait for memory. `heap`: this worker's heap is full, not the cgroup. */
  | { readonly type: 'memory-full'; readonly rssBytes: number; readonly heap: boolean }
  /** The worker itself got a SIGTERM and wants a replacement. */
  | { readonly type: 'replace-me' }
  /** Uncaught exception: the worker drains and ends; replace it now. */
  | { readonly type: 'crashing'; readonly reason: string; readonly stack: string | undefined };

/** What a worker says of its own failure. */
export interface WorkerFailure {
  readonly reason: string;
  readonly stack: string | undefined;
  /** A retry cannot help. */
  readonly fatal: boolean;
  /** The server's exit code in that case; undefined is `app`. */
  readonly exit?: ExitName;
}

/** Both are text, whatever the app made of its errors. */
export function describeError(error: unknown): Pick<WorkerFailure, 'reason' | 'stack'> {
  if (!(error instanceof Error)) return { reason: String(error), stack: undefined };
  const { message, stack } = error;
  return { reason: String(message), stack: typeof stack === 'string' ? stack : undefined };
}

interface Envelope<M> {
  readonly tsunicorn: M;
}

export function seal<M extends ToWorker | FromWorker>(message: M): Envelope<M> {
  return { tsunicorn: message };
}

/** What is inside an envelope of ours; undefined where the app sent something of its own. */
export function unseal(raw: unknown): unknown {
  return isObject(raw) && 'tsunicorn' in raw ? raw.tsunicorn : undefined;
}

/** Undefined where the app sent something of its own. Throws a TypeError that names the fault where it forged ours. */
export function parseFromWorker(raw: unknown): FromWorker | undefined {
  const message = unseal(raw);
  if (message === undefined) return undefined;
  const type = isObject(message) ? message.type : undefined;
  if (typeof type !== 'string' || !Object.hasOwn(SHAPES, type)) throw new TypeError('type is unknown');
  const fault = object(SHAPES[type as FromWorker['type']])(message);
  if (fault !== undefined) throw new TypeError(`${type}${fault}`);
  return message as FromWorker;
}

/** Answers what is wrong, beginning with the path to it. Builds no string where nothing is: app reports are long. */
type Check = (value: unknown) => string | undefined;
type Fields<T> = { readonly [K in keyof T]-?: Check };

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isAmount = (value: unknown): boolean => Number.isFinite(value) && (value as number) >= 0;
const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;

const is =
  (what: string, test: (value: unknown) => boolean): Check =>
  (value) =>
    test(value) ? undefined : ` is not ${what}`;
const FLAG = is('a boolean', (value) => typeof value === 'boolean');
const TEXT = is('text', (value) => typeof value === 'string');
const NUMBER = is('a number', Number.isFinite);
const AMOUNT = is('an amount', isAmount);
const COUNT = is('a count', isCount);
const LABEL = is('a label', (value) => typeof value === 'string' || typeof value === 'number');
const EXIT = is('an exit of a failed worker', (value) => value !== 'ok' && Object.hasOwn(EXIT_CODES, String(value)));

const optional =
  (check: Check): Check =>
  (value) =>
    value === undefined ? undefined : check(value);

function object<T>(fields: Fields<T>): Check {
  return (value) => {
    if (!isObject(value)) return ' is not an object';
    for (const key in fields) {
      const fault = fields[key](value[key]);
      if (fault !== undefined) return `.${key}${fault}`;
    }
    return undefined;
  };
}

/** Keys are the app's to choose in part: `keys` bounds what becomes the label of a series. */
function record(keys: RegExp, check: Check): Check {
  return (value) => {
    if (!isObject(value)) return ' is not an object';
    for (const key in value) {
      const fault = keys.test(key) ? check(value[key]) : ' has an unknown key';
      if (fault !== undefined) return fault;
    }
    return undefined;
  };
}

/** `checks` one after another, again and again. */
function list(...checks: readonly Check[]): Check {
  return (value) => {
    if (!Array.isArray(value) || value.length % checks.length !== 0) return ' is not a list of the right length';
    for (let i = 0; i < value.length; i++) {
      const fault = checks[i % checks.length]?.(value[i]);
      if (fault !== undefined) return `[${i}]${fault}`;
    }
    return undefined;
  };
}
const tuple =
  (...checks: readonly Check[]): Check =>
  (value) =>
    Array.isArray(value) && value.length === checks.length ? list(...checks)(value) : ' is not a tuple';

const DURATIONS: Fields<Durations> = { buckets: list(COUNT), seconds: AMOUNT };
const METHOD: Fields<MethodReport> = { ...DURATIONS, codes: record(/^(\d{3}|other)$/, COUNT) };
const REPORT: Fields<WorkerReport> = {
  requests: record(/^([A-Z]+|other)$/, object(METHOD)),
  rejected: record(/^[a-z_]+$/, COUNT),
  sentBytes: AMOUNT,
  droppedLogLines: COUNT,
  cpu: object({ user: AMOUNT, system: AMOUNT }),
  gc: record(/^[a-z]+$/, object(DURATIONS)),
  served: COUNT,
  inFlight: COUNT,
  connections: COUNT,
  rssBytes: NUMBER,
  heapUsedBytes: NUMBER,
  heapTotalBytes: NUMBER,
  externalBytes: NUMBER,
  lag: list(NUMBER),
  utilization: NUMBER,
};
const APP_REPORT: Fields<AppReport> = {
  families: list(tuple(TEXT, TEXT, TEXT, TEXT)),
  series: list(tuple(COUNT, TEXT, record(/(?:)/, LABEL))),
  values: list(
    COUNT,
    is('a value', (value) => value === null || typeof value === 'string' || Number.isFinite(value)),
  ),
};

const SHAPES: { readonly [T in FromWorker['type']]: Fields<Omit<Extract<FromWorker, { type: T }>, 'type'>> } = {
  hello: { stacks: FLAG, outOfMemory: FLAG },
  'boot-progress': { waitingFor: TEXT },
  'boot-failed': { reason: TEXT, stack: optional(TEXT), fatal: FLAG, exit: optional(EXIT) },
  ready: { app: TEXT, heapSizeLimitBytes: AMOUNT },
  heartbeat: { report: object(REPORT) },
  report: { serial: COUNT, report: object(REPORT), more: FLAG },
  'app-report': { serial: COUNT, report: object(APP_REPORT) },
  'took-over': { key: TEXT },
  'need-descriptor': { key: TEXT },
  'memory-full': { rssBytes: AMOUNT, heap: FLAG },
  'replace-me': {},
  crashing: { reason: TEXT, stack: optional(TEXT) },
};

/** The app's name in `ready` where there is none and the built-in one is served. */
export const WELCOME_APP = 'the welcome app';
