/**
 * What the arbiter and a worker say to each other over the IPC channel.
 * Every message is wrapped in an envelope, since the app shares the channel: `process.send('ready')`, which programs
 * written for other process managers do, must neither be taken for ours nor end anything.
 */
import type { Settings } from './config/settings.ts';

/** The settings that a worker needs; plain JSON, so it crosses the channel as it is. */
export type WorkerSettings = Pick<
  Settings,
  | 'app'
  | 'chdir'
  | 'backlog'
  | 'workerClass'
  | 'workerConnections'
  | 'timeout'
  | 'requestTimeout'
  | 'keepalive'
  | 'headerTimeout'
  | 'bodyTimeout'
  | 'gracefulTimeout'
  | 'logLevel'
  | 'logFormat'
  | 'errorLog'
  | 'accessLog'
  | 'forwardedAllowIps'
  | 'limitHeaderSize'
  | 'limitRequestFields'
  | 'limitRequestLine'
  | 'limitBodySize'
  | 'maxEventLoopLag'
>;

/** Descriptors of a worker: 0 to 2, the IPC channel, the socket for its stack, and from here on listening sockets. */
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
  readonly age: number;
  readonly settings: WorkerSettings;
  readonly listeners: readonly InheritedListener[];
  /** `tsunicorn check`: load the app, report, end. */
  readonly checkOnly: boolean;
}

export type ToWorker =
  | { readonly type: 'boot'; readonly plan: WorkerPlan }
  /** Go on accepting, but let every response end its connection. */
  | { readonly type: 'closing' }
  /** Stop accepting, finish what is in hand, end. `quick`: idle connections are closed without waiting a moment. */
  | { readonly type: 'drain'; readonly quick: boolean }
  /** A descriptor of listener `key` comes with this message. `cover`: start to accept on it, for a neighbour. */
  | { readonly type: 'descriptor'; readonly key: string; readonly cover: boolean }
  | { readonly type: 'uncover'; readonly key: string }
  | { readonly type: 'reopen logs' };

/** What a worker counted since its last report, and how it is now. */
export interface WorkerReport {
  /** Finished requests by `METHOD CODE`, since the last report. */
  readonly requests: Readonly<Record<string, number>>;
  /** Requests turned away by tsunicorn itself by reason, since the last report. */
  readonly rejected: Readonly<Record<string, number>>;
  readonly droppedLogLines: number;
  readonly inFlight: number;
  readonly connections: number;
}

export type FromWorker =
  /** The channel is read: send the plan. `stacks`: the worker can be asked for its JavaScript stack. */
  | { readonly type: 'born'; readonly stacks: boolean }
  | { readonly type: 'ready'; readonly app: string }
  | { readonly type: 'beat'; readonly report: WorkerReport }
  /** Another descriptor of this listener, please: a worker that stops accepting for a while has to close its own. */
  | { readonly type: 'want descriptor'; readonly key: string }
  /** The worker got a SIGTERM of its own and would like to be replaced. */
  | { readonly type: 'asks to leave' }
  /** An uncaught exception: it drains by itself and ends; replace it now. */
  | { readonly type: 'broken'; readonly reason: string }
  /** The app cannot be served. `fatal`: trying again cannot help. */
  | { readonly type: 'boot failed'; readonly reason: string; readonly fatal: boolean };

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
