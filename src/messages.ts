/**
 * The IPC messages between the arbiter and a worker. The app shares the channel, so ours travel in an envelope: what the
 * app sends for itself, such as `process.send('ready')`, is not taken for ours, and what it forges is refused by shape.
 */
import type { Settings } from './config/settings.ts';
import { EXIT_CODES, type ExitName } from './errors.ts';
import type { MemoryGroup } from './platform/kernel/memory.ts';

/**
 * A worker's descriptors: 0 to 2, the IPC channel, the socket for stacks and out-of-memory reports, the one for messages
 * to and from other workers (`platform/frames.ts`), then the listeners.
 */
export const STACK_FD = 4;
export const RELAY_FD = 5;
export const FIRST_SOCKET_FD = 6;

/** A listening socket as a worker gets it: `key` names it in later messages, `fd` is the inherited descriptor. */
export interface InheritedListener {
  readonly key: string;
  readonly fd: number;
}

/** What a worker needs to boot; plain JSON. */
export interface WorkerPlan {
  readonly slot: number;
  /** Its number among all workers ever started. */
  readonly workerId: number;
  readonly settings: Settings;
  /** Which of them the user gave. */
  readonly given: readonly (keyof Settings)[];
  readonly listeners: readonly InheritedListener[];
  /** TCP ports that the server serves; the first is the app's PORT. */
  readonly ports: readonly number[];
  /** The cgroup whose memory limit admits requests; undefined admits all. */
  readonly memory: MemoryGroup | undefined;
  /** The limit of its old space, where that is known. */
  readonly heapLimitBytes: number | undefined;
  /** The server has served before: a log file that cannot be opened now is no reason to fail. */
  readonly started: boolean;
  /** Begin to accept with the message `accept`, or soon after readiness: until then the predecessor says goodbye. */
  readonly waitsToAccept: boolean;
  /** `tsunicorn check`: load the app, report, end. */
  readonly checkOnly: boolean;
}

export type ToWorker =
  | { readonly type: 'boot'; readonly plan: WorkerPlan }
  /** Go on accepting, but end the connection with every response. */
  | { readonly type: 'close-connections' }
  /**
   * Stop accepting, finish the requests in flight, exit. A second one can only shorten the first.
   * `quick`: close idle connections at once. `leftMs`: from now until the worker is killed; the two processes'
   * clocks have different origins. `drainQueue`: drain the accept queues first, as no other worker will.
   */
  | { readonly type: 'drain'; readonly quick: boolean; readonly leftMs: number; readonly drainQueue: boolean }
  /**
   * Comes with a descriptor of listener `key`. `takeOver`: accept on it for another slot, and answer `took-over`.
   * A worker without a free descriptor never gets this message.
   */
  | { readonly type: 'descriptor'; readonly key: string; readonly takeOver: boolean }
  /** The predecessor of a worker with `waitsToAccept` has stopped accepting. */
  | { readonly type: 'accept' }
  /** Its slot has a worker of its own again: stop accepting on it. */
  | { readonly type: 'hand-back'; readonly key: string }
  /** Replaces the plan's. */
  | { readonly type: 'memory-limit'; readonly memory: MemoryGroup | undefined }
  /** Admit the requests that wait for memory, and all others until there is room again. */
  | { readonly type: 'release-hold' }
  /** Collect garbage and give the pages back: the worker looks too large. */
  | { readonly type: 'collect-garbage' }
  | { readonly type: 'reload-logs' }
  /** Run what the app gave to `onLeader()`, until the drain. */
  | { readonly type: 'lead' }
  /** Report now, with this number in the answers. */
  | { readonly type: 'report'; readonly serial: number };

/** RFC 9110, section 9, and RFC 5789. Any other method a client sends counts as `other`. */
export const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'] as const;

export const REFUSALS = [
  'uri_too_long',
  'too_many_fields',
  'body_too_large',
  'timeout',
  'malformed',
  'overload',
  'no_websocket',
] as const;

const GC_KINDS = ['major', 'minor', 'incremental', 'weakcb', 'other'];

/** Answers what is wrong, beginning with the path to it. Builds no string if nothing is: app reports are long. */
interface Check<T> {
  (value: unknown): string | undefined;
  /** Never there: carries the type. */
  readonly valid?: T;
}
type Fields = Readonly<Record<string, Check<unknown>>>;
type Checked<C> = C extends Check<infer T> ? T : never;
/** Fields that may be undefined are optional. */
type ObjectOf<F> = {
  readonly [K in keyof F as undefined extends Checked<F[K]> ? never : K]: Checked<F[K]>;
} & { readonly [K in keyof F as undefined extends Checked<F[K]> ? K : never]?: Checked<F[K]> };

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const is =
  <T>(what: string, test: (value: unknown) => boolean): Check<T> =>
  (value) =>
    test(value) ? undefined : ` is not ${what}`;
const FLAG = is<boolean>('a boolean', (value) => typeof value === 'boolean');
const TEXT = is<string>('text', (value) => typeof value === 'string');
const NUMBER = is<number>('a number', Number.isFinite);
const AMOUNT = is<number>('an amount', (value) => Number.isFinite(value) && Number(value) >= 0);
const COUNT = is<number>('a count', (value) => Number.isSafeInteger(value) && Number(value) >= 0);
const LABEL = is<string | number>('a label', (value) => typeof value === 'string' || typeof value === 'number');
const EXIT = is<ExitName>(
  'an exit of a failed worker',
  (value) => value !== 'ok' && Object.hasOwn(EXIT_CODES, String(value)),
);
const VALUE = is<number | string | null>(
  'a value',
  (value) => value === null || typeof value === 'string' || Number.isFinite(value),
);

const optional =
  <T>(check: Check<T>): Check<T | undefined> =>
  (value) =>
    value === undefined ? undefined : check(value);

function object<F extends Fields>(fields: F): Check<ObjectOf<F>> {
  return (value) => {
    if (!isObject(value)) return ' is not an object';
    for (const key in fields) {
      const fault = fields[key]?.(value[key]);
      if (fault !== undefined) return `.${key}${fault}`;
    }
    return undefined;
  };
}

/** Keys become labels of series that live as long as the server: `keys` bounds them. */
function record<T>(keys: RegExp, check: Check<T>): Check<Readonly<Record<string, T>>> {
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
function list<C extends readonly Check<unknown>[]>(...checks: C): Check<readonly Checked<C[number]>[]> {
  return (value) => {
    if (!Array.isArray(value) || value.length % checks.length !== 0) return ' is not a list of the right length';
    for (let i = 0; i < value.length; i++) {
      const fault = checks[i % checks.length]?.(value[i]);
      if (fault !== undefined) return `[${i}]${fault}`;
    }
    return undefined;
  };
}

function tuple<C extends readonly Check<unknown>[]>(...checks: C): Check<{ readonly [I in keyof C]: Checked<C[I]> }> {
  const items = list(...checks);
  return (value) => (Array.isArray(value) && value.length === checks.length ? items(value) : ' is not a tuple');
}

/** Buckets and quantiles; the arbiter keeps as many as it is sent. */
const MAX_ITEMS = 64;

const short =
  <T>(check: Check<T>): Check<T> =>
  (value) =>
    Array.isArray(value) && value.length > MAX_ITEMS ? ' is too long' : check(value);

const oneOf = (...keys: string[]): RegExp => new RegExp(`^(${keys.join('|')})$`);

const LABELS = record(/(?:)/, LABEL);
/** Counts by bucket (`observe/metrics/table.ts`; the last is beyond all bounds), and the sum in seconds. */
const DURATIONS = { buckets: short(list(COUNT)), seconds: AMOUNT };
const METHOD = { ...DURATIONS, codes: record(/^(\d{3}|other)$/, COUNT) };

const PROCESS = {
  rssBytes: NUMBER,
  heapUsedBytes: NUMBER,
  heapTotalBytes: NUMBER,
  externalBytes: NUMBER,
  /** Delay of the event loop in seconds over the last seconds, for each of `LAG_QUANTILES`. */
  lag: short(list(NUMBER)),
  /** Share of that time in which the event loop was busy, 0 to 1. */
  utilization: NUMBER,
};

const REPORT = {
  ...PROCESS,
  served: COUNT,
  inFlight: COUNT,
  connections: COUNT,
  // Since the last report. Requests are by method, refused ones by reason, garbage collections by kind; CPU in seconds.
  requests: record(oneOf(...METHODS, 'other'), object(METHOD)),
  rejected: record(oneOf(...REFUSALS), COUNT),
  sentBytes: AMOUNT,
  droppedLogLines: COUNT,
  cpu: object({ user: AMOUNT, system: AMOUNT }),
  gc: record(oneOf(...GC_KINDS), object(DURATIONS)),
};

/** Name, help, type, and how prom-client aggregates it. */
const APP_FAMILY = tuple(TEXT, TEXT, TEXT, TEXT);
/** The family's index, what follows the name (`_bucket`), and the labels. */
const APP_SAMPLE = tuple(COUNT, TEXT, LABELS);

/** Changes in the app's registry since the worker's last report. Families and series are sent once, in index order. */
const APP_REPORT = {
  families: list(APP_FAMILY),
  series: list(APP_SAMPLE),
  /** A series' index and its value: the increase if it only grows; text if JSON lacks the number; null if it is gone. */
  values: list(COUNT, VALUE),
};

export type Labels = Checked<typeof LABELS>;
export type Durations = ObjectOf<typeof DURATIONS>;
export type MethodReport = ObjectOf<typeof METHOD>;
export type ProcessStats = ObjectOf<typeof PROCESS>;
export type WorkerReport = ObjectOf<typeof REPORT>;
export type AppFamily = Checked<typeof APP_FAMILY>;
export type AppSample = Checked<typeof APP_SAMPLE>;
export type AppReport = ObjectOf<typeof APP_REPORT>;

/** `fatal`: a retry cannot help; `exit` is the server's exit code then, `app` by default. */
const FAILURE = { reason: TEXT, stack: optional(TEXT), fatal: FLAG, exit: optional(EXIT) };
export type WorkerFailure = ObjectOf<typeof FAILURE>;

const FROM_WORKER = {
  /**
   * The worker reads the channel: send the plan. `stacks`: it can be asked for its JavaScript stack. `outOfMemory`: it
   * says so before V8 ends it for lack of memory. Both go over {@link STACK_FD}.
   */
  hello: { stacks: FLAG, outOfMemory: FLAG },
  /** What the boot waits for from now on, in case that never comes. */
  'boot-progress': { waitingFor: TEXT },
  'boot-failed': FAILURE,
  /** `heapSizeLimitBytes`: V8's limit for the whole heap of this worker. */
  ready: { app: TEXT, heapSizeLimitBytes: AMOUNT },
  heartbeat: { report: object(REPORT) },
  /** Not a sign of life: a new worker's first, or one that was asked for. `more`: an app-report follows. */
  report: { serial: COUNT, report: object(REPORT), more: FLAG },
  /** `serial` is 0 if it was not asked for. */
  'app-report': { serial: COUNT, report: object(APP_REPORT) },
  /** It accepts on this listener of another slot. */
  'took-over': { key: TEXT },
  /** Send another descriptor of this listener: a worker that pauses accepting has to close its own. */
  'need-descriptor': { key: TEXT },
  /** New requests wait for memory. `heap`: this worker's heap is full, not the cgroup. */
  'memory-full': { rssBytes: AMOUNT, heap: FLAG },
  /** Clients have sessions in this worker, and wait in long polls: its successor should not meet them. */
  'has-long-polls': {},
  /** In a drain: the successor may accept. */
  'stopped-accepting': {},
  /** The worker wants a replacement, for example since it received SIGTERM itself. */
  'replace-me': { why: TEXT },
  /** The app has called `setReady()`, or pm2's `process.send('ready')`. */
  'app-ready': { ready: FLAG },
  /** The app has called `onLeader()`. */
  'seek-lead': {},
  /** All that ran because this worker leads has ended. */
  resign: {},
  /** Uncaught exception: the worker drains and exits; replace it now. */
  crashing: { reason: TEXT, stack: optional(TEXT) },
};
type Shapes = typeof FROM_WORKER;
export type FromWorker = { [T in keyof Shapes]: { readonly type: T } & ObjectOf<Shapes[T]> }[keyof Shapes];

/** Both are text, whatever the app made of its errors. */
export function describeError(error: unknown): Pick<WorkerFailure, 'reason' | 'stack'> {
  try {
    if (!(error instanceof Error)) return { reason: String(error), stack: undefined };
    const { message, stack } = error;
    return { reason: String(message), stack: typeof stack === 'string' ? stack : undefined };
  } catch {
    return { reason: 'an error that cannot be read', stack: undefined }; // a getter or a proxy of the app that throws
  }
}

/** A worker's app does not see what Node.js takes for messages of its own, by their `cmd`, and emits so. */
export const MESSAGE_EVENT = 'internalMessage';
const CMD = 'NODE_TSUNICORN';

export function seal(message: FromWorker): { readonly tsunicorn: FromWorker } {
  return { tsunicorn: message };
}

export function sealForWorker(message: ToWorker): { readonly cmd: string; readonly tsunicorn: ToWorker } {
  return { cmd: CMD, tsunicorn: message };
}

/** What is in our envelope; undefined if the app sent something of its own. */
export function unseal(raw: unknown): unknown {
  return isObject(raw) && 'tsunicorn' in raw ? raw.tsunicorn : undefined;
}

/** Undefined if the app sent something of its own. Throws a TypeError that names the fault if it forged ours. */
export function parseFromWorker(raw: unknown): FromWorker | undefined {
  const message = unseal(raw);
  if (message === undefined) return undefined;
  const type = isObject(message) ? message.type : undefined;
  if (typeof type !== 'string' || !Object.hasOwn(FROM_WORKER, type)) throw new TypeError('type is unknown');
  const fault = object<Fields>(FROM_WORKER[type as keyof Shapes])(message);
  if (fault !== undefined) throw new TypeError(`${type}${fault}`);
  return message as FromWorker;
}

/** The app's name in `ready` if there is none and the built-in one is served. */
export const WELCOME_APP = 'the welcome app';
