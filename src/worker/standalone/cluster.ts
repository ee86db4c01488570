/**
 * node:cluster as a program sees it in a process that its primary has forked. The arbiter is the primary, so the
 * program's own does not run; a worker's id is its slot + 1.
 */
import type { Worker as ClusterWorker } from 'node:cluster';
import type { EventEmitter } from 'node:events';
import type { Server } from 'node:net';
import { fileURLToPath } from 'node:url';
import { AppLoadError } from '../../errors.ts';
import { readFileSync } from '../../platform/node-fs.ts';
import { loadedModules } from '../report/app-metrics.ts';
import { callerOf, fileOf, whenClusterLoads } from './cluster-module.ts';
import {
  type ClusterMail,
  ClusterRelay,
  type PrimaryPart,
  type RelayedProcess,
  type WorkersRoute,
} from './cluster-relay.ts';
import { StickyServer } from './sticky-server.ts';

export interface ClusterOptions extends RelayedProcess {
  readonly mail: ClusterMail;
  /** `TSUNICORN_STICKY` is set. */
  readonly isSticky: boolean;
  /** `/metrics` has the app's own. */
  readonly appMetrics: boolean;
  /** Once per server. */
  readonly say: (message: string) => void;
}

/** What the program does to the worker. */
export interface ClusterActions {
  /** It wants this worker to end, by `call`. */
  leaves(call: string): void;
  /** An uncaught exception. */
  threw(error: unknown, origin: string): void;
}

interface ClusterModule extends EventEmitter {
  /** Undefined while the module loads. */
  readonly Worker: (new (options: object) => ClusterWorker) | undefined;
  readonly schedulingPolicy: number | undefined;
}
type Send = NonNullable<NodeJS.Process['send']>;
type Listen = (address: unknown, port: unknown, type: unknown, backlog: unknown, fd: unknown, flags: unknown) => void;
interface ListenQuery {
  readonly address: unknown;
  readonly port: unknown;
  readonly addressType: unknown;
  readonly backlog: unknown;
  readonly fd: unknown;
  readonly flags: unknown;
}

/** It writes from the primary alone, and there is none: each worker writes for itself. */
const WRITES_IN_PRIMARY = /[\\/]node_modules[\\/]log4js[\\/]/;
const ADVANCED = /\bserialization:\s*(['"`])advanced\1/;

export class Cluster {
  readonly #process: NodeJS.Process;
  readonly #options: ClusterOptions;
  readonly #actions: () => ClusterActions;
  readonly #relay: ClusterRelay;
  readonly #said = new Set<string>();
  #sticky: StickyServer | undefined;
  #module: ClusterModule | undefined;
  #worker: ClusterWorker | undefined;
  /** Where the program asks whether it is the primary. */
  #asker: string | undefined;
  #isAdvanced: boolean | undefined;
  #state: 'boots' | 'serves' | 'drains' | 'disconnected' = 'boots';

  constructor(process: NodeJS.Process, options: ClusterOptions, actions: () => ClusterActions) {
    this.#process = process;
    this.#options = options;
    this.#actions = actions;
    this.#relay = new ClusterRelay(options.mail, options);
    const refuse = (): never => this.#refuseFork();
    whenClusterLoads(process, (cluster) => this.#adopt(cluster as ClusterModule), refuse);
  }

  /** The program has run, and neither exports an app nor listens. */
  listenForPrimary(): void {
    if (this.#sticky?.listen(Number(this.#process.env.PORT) || 0)) this.#sayPart('sticky');
  }

  /** The app has booted. */
  booted(): void {
    this.#state = 'serves';
    if (this.#asker !== undefined) this.#sayWhoIsPrimary(this.#asker);
  }

  /** The drain begins: the program may end its worker. */
  drains(): void {
    this.#state = 'drains';
  }

  /** No connection is left. */
  drained(): void {
    this.#state = 'disconnected';
    if (this.#worker?.exitedAfterDisconnect) this.#emitDisconnect();
  }

  #adopt(cluster: ClusterModule): void {
    this.#module = cluster;
    const asked = (answer: boolean): (() => boolean) => {
      const get = (): boolean => this.#asked(callerOf(get), answer);
      return get;
    };
    const noEffect = (what: string): void => this.#say(`${what} has no effect: ${NO_EFFECT}`);
    const setup = (settings: Partial<Record<string, unknown>> = {}): void => {
      if (settings.serialization === 'advanced') this.#isAdvanced = true;
      noEffect('cluster.setupPrimary()');
    };
    const getters: Readonly<Record<string, () => unknown>> = {
      isWorker: asked(true),
      isPrimary: asked(false),
      isMaster: asked(false),
      worker: () => this.#ownWorker(),
      workers: () => undefined,
      fork: () => () => this.#refuseFork(),
      setupPrimary: () => setup,
      setupMaster: () => setup,
    };
    const define = (name: string, property: PropertyDescriptor): void =>
      void Object.defineProperty(cluster, name, { configurable: true, enumerable: true, ...property });
    // While it loads, the module assigns values of its own.
    for (const [name, get] of Object.entries(getters)) define(name, { get, set() {} });
    let policy = cluster.schedulingPolicy;
    define('schedulingPolicy', {
      get: () => policy,
      set: (value: number) => {
        if (policy !== undefined) noEffect('cluster.schedulingPolicy');
        policy = value;
      },
    });
    Object.defineProperty(cluster, '_getServer', { value: listenAlone });
    this.#openRelay();
    this.#sticky = new StickyServer(loadedModules());
  }

  #asked(caller: string | undefined, answer: boolean): boolean {
    if (caller?.startsWith('node:dgram:')) return !answer; // a worker binds by itself, and not in the primary
    if (caller === undefined || caller.startsWith('node:')) return answer;
    const place = caller.startsWith('file:') ? fileURLToPath(caller) : caller;
    if (WRITES_IN_PRIMARY.test(place)) return !answer;
    if (/[\\/]node_modules[\\/]prom-client[\\/]/.test(place)) {
      this.#sayPart('metrics');
      return answer;
    }
    const first = this.#asker === undefined;
    this.#asker ??= place;
    if (first && this.#state !== 'boots') this.#sayWhoIsPrimary(place);
    return answer;
  }

  #ownWorker(): ClusterWorker | undefined {
    if (this.#worker || this.#module?.Worker === undefined) return this.#worker;
    const process = this.#process;
    const worker = new this.#module.Worker({ id: this.#options.slot + 1, process, state: 'online' });
    Object.assign(worker, {
      isConnected: () => process.connected && this.#state !== 'disconnected',
      disconnect: () => {
        this.#leave(worker, 'cluster.worker.disconnect()');
        if (this.#state === 'disconnected') this.#emitDisconnect();
        return worker;
      },
      destroy: () => {
        this.#leave(worker, 'cluster.worker.kill()');
        if (this.#state === 'drains' || this.#state === 'disconnected') process.exit(0);
      },
    });
    process.once('disconnect', () => worker.emit('disconnect'));
    this.#worker = worker;
    return worker;
  }

  #leave(worker: ClusterWorker, call: string): void {
    if (worker.exitedAfterDisconnect) return;
    worker.exitedAfterDisconnect = true;
    this.#actions().leaves(call);
  }

  #emitDisconnect(): void {
    const worker = this.#worker;
    this.#process.nextTick(() => worker?.emit('disconnect'));
  }

  /** From now on messages go between the workers. */
  #openRelay(): void {
    const process = this.#process;
    this.#relay.open((message) => process.emit('message', message, undefined));
    const toParent = process.send?.bind(process) as Send | undefined;
    if (!toParent) return;
    process.send = ((message: unknown, ...rest: unknown[]): boolean => {
      if (message === undefined) return toParent(message); // throws
      const route = this.#relay.routeOf(message);
      if (route.to === 'parent') return toParent(message, ...(rest as []));
      const done = rest.find((arg) => typeof arg === 'function') as ((error: Error | null) => void) | undefined;
      if (route.to === 'primary') this.#sayPart(route.part);
      else if (!this.#passOn(route, done)) return false;
      if (done) process.nextTick(done, null);
      return true;
    }) as Send;
  }

  #passOn(route: WorkersRoute, done: ((error: Error) => void) | undefined): boolean {
    this.#isAdvanced ??= this.#asksForAdvanced();
    try {
      this.#relay.send(route, this.#isAdvanced);
      return true;
    } catch (error) {
      if (!done || !(error instanceof Error)) throw error;
      this.#process.nextTick(done, error);
      return false;
    }
  }

  /** Its primary would, if it ran. */
  #asksForAdvanced(): boolean {
    try {
      return ADVANCED.test(readFileSync(fileOf(this.#asker ?? `${this.#process.argv[1]}:0:0`), 'utf8'));
    } catch {
      return false; // bundled, or a source map names a file that is not here
    }
  }

  #refuseFork(): never {
    const error = new AppLoadError(REFUSAL);
    this.#actions().threw(error, 'cluster.fork()');
    throw error;
  }

  #sayWhoIsPrimary(place: string): void {
    this.#say(`${place} ${NO_PRIMARY}`);
  }

  #sayPart(part: PrimaryPart): void {
    const { isSticky, appMetrics } = this.#options;
    if (part === 'metrics') return this.#say(appMetrics ? METRICS : NO_METRICS);
    if (part === 'log4js') return this.#say(LOG4JS);
    if (!isSticky) this.#say(STICKY);
  }

  #say(message: string): void {
    if (this.#said.has(message)) return;
    this.#said.add(message);
    this.#options.say(message);
  }
}

/** An extra server of a program: its worker listens by itself, with what net.Server has made of the call. */
function listenAlone(server: Server & { _listen2?: Listen }, query: ListenQuery): void {
  const { address, port, addressType, backlog, fd, flags } = query;
  server._listen2?.(address, port, addressType, backlog, fd, flags);
}

const REFUSAL =
  'the app called cluster.fork(), but tsunicorn starts the workers (TSUNICORN_WORKERS is their number). Point TSUNICORN_APP at the code that such a worker runs, or call that code instead of cluster.fork()';
const NO_EFFECT = 'tsunicorn starts the workers, and they accept connections by themselves';
const NO_PRIMARY =
  "asks node:cluster whether this is the primary: tsunicorn is, so what the program's primary would do does not run. What has to be done before the start, such as migrations, is for the command that starts the container; what must run once is for onLeader() (docs/migrating/cluster.md)";
const METRICS =
  "AggregatorRegistry of prom-client has no workers to ask here: /metrics of the admin port has the metrics of all workers' default registries, merged";
const NO_METRICS =
  "AggregatorRegistry of prom-client has no workers to ask here: with TSUNICORN_APP_METRICS=true, /metrics of the admin port has the metrics of all workers' default registries, merged";
const STICKY =
  "@socket.io/sticky chooses workers in the program's primary, which does not run: set TSUNICORN_STICKY=ip, or let the proxy do it (docs/several-workers.md)";
const LOG4JS =
  "log4js writes in the program's primary, which does not run, so its lines are lost: set disableClustering in its configuration";
