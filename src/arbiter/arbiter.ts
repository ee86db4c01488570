/**
 * The arbiter's loop: handle what came (signals, messages, exits, timers) → perform what the pool decides → sleep until
 * the next deadline. It never touches a request.
 *
 * One failure path: whatever a callback throws is logged with its subject, and the loop goes on; only HaltServer ends it.
 */
import { isatty } from 'node:tty';
import type { Logger } from 'pino';
import { serveAdmin } from '../admin/routes.ts';
import type { SettingStatus } from '../admin/status.ts';
import type { Settings } from '../config/settings.ts';
import { HaltServer } from '../errors.ts';
import { garbageWatch } from '../platform/gc.ts';
import type { Limits } from '../platform/kernel/limits.ts';
import { loadNative } from '../platform/native/native.ts';
import { Notifier } from '../platform/notify.ts';
import { startReaper } from '../platform/reaper.ts';
import type { ArbiterSignal, Signals } from '../platform/signals.ts';
import { inheritedSockets, Listeners } from '../platform/sockets.ts';
import { handOverLog, identityOf } from '../platform/users.ts';
import type { Sizing } from '../sizing.ts';
import { version } from '../version.ts';
import { ArbiterAdminSource, ExitHistory } from './admin-source.ts';
import { reloadOnChange } from './dev-reload.ts';
import { Executor } from './executor.ts';
import { MetricsCollector } from './metrics/scrape.ts';
import { writePidfile } from './pidfile.ts';
import { Pool } from './pool/pool.ts';
import { type Resize, Sizer } from './sizer.ts';
import { WorkerEvents } from './worker-events.ts';
import { directoryProblem, type WorkerProcess } from './worker-process.ts';

/** The loop turns at least this often, so that a gap in its own time shows (see the pool's starvation rule). */
const TICK_MS = 1_000;
const OOM_KILLS_MS = 5_000;
const GARBAGE_MS = 10_000;
/** A worker whose exit could not be handled has ended nevertheless. */
const UNEXPLAINED = { why: 'its exit could not be handled', fatal: false };

const STOPS: ReadonlySet<ArbiterSignal> = new Set(['SIGTERM', 'SIGINT', 'SIGQUIT']);

export interface ArbiterOptions {
  readonly settings: Settings;
  /** Every setting as `tsunicorn config --json` shows it, for what sizing made of those that left it the choice. */
  readonly describeSettings: (sizing: Sizing) => Readonly<Record<string, SettingStatus>>;
  /** Asks the kernel what it grants now. */
  readonly readLimits: () => Limits;
  readonly logger: Logger;
  /** Reopens the server log's file. */
  readonly reopenLog: () => void;
  /** Lines of it that were dropped since the last call. */
  readonly takeDroppedLines: () => number;
  readonly signals: Signals;
  readonly process: NodeJS.Process;
}

interface ArbiterEvent {
  readonly what: string;
  readonly handle: () => void;
}

export class Arbiter {
  readonly #options: ArbiterOptions;
  readonly #settings: Settings;
  readonly #log: Logger;
  readonly #sizer: Sizer;
  readonly #pool: Pool;
  readonly #listeners: Listeners;
  readonly #workers = new Map<number, WorkerProcess>();
  readonly #metrics: MetricsCollector;
  readonly #adminSource: ArbiterAdminSource;
  readonly #executor: Executor;
  readonly #workerEvents: WorkerEvents;
  readonly #notifier: Notifier;
  readonly #native = loadNative();
  readonly #inbox: ArbiterEvent[] = [];
  #halt: HaltServer | undefined;
  #wake: () => void = () => {};

  constructor(options: ArbiterOptions) {
    const { settings, logger: log, process, takeDroppedLines, describeSettings } = options;
    this.#options = options;
    this.#settings = settings;
    this.#log = log;
    this.#sizer = new Sizer(settings, options.readLimits());
    this.#pool = new Pool({ ...settings, ...this.#sizer.inForce }, Math.random);
    // A worker at its cap leaves connections to the others, which only a shared socket can. One that is short of memory is
    // replaced, and its successor has its socket.
    const uncapped = settings.workerClass === 'async' && settings.workerConnections === 0;
    this.#listeners = new Listeners({ reusePort: settings.reusePort && uncapped, socketMode: settings.socketMode });
    const shared = {
      pool: this.#pool,
      listeners: this.#listeners,
      workers: this.#workers,
      log,
      process,
      sizer: this.#sizer,
      failed: (what: string, error: unknown) => this.#failed(what, error),
    };
    const { native } = this.#native;
    const cpus = (): number => this.#sizer.inForce.cpus;
    this.#metrics = new MetricsCollector({ ...shared, native, cpus, takeDroppedLines });
    const known = { ...shared, metrics: this.#metrics, history: new ExitHistory() };
    this.#adminSource = new ArbiterAdminSource({ ...known, describeSettings });
    const workerEvents = new WorkerEvents({ ...known, chdir: settings.chdir });
    this.#workerEvents = workerEvents;
    this.#executor = new Executor({
      ...known,
      settings,
      native: this.#native,
      env: process.env,
      events: {
        message: (from, message) =>
          this.#enqueue(`message ${message.type} of worker ${from.workerId}`, () =>
            workerEvents.message(from, message),
          ),
        forged: (from, fault) =>
          this.#enqueue(`forged message of worker ${from.workerId}`, () => workerEvents.forged(from, fault)),
        exit: (from) =>
          this.#enqueue(`exit of worker ${from.workerId}`, () => {
            try {
              workerEvents.exited(from);
            } finally {
              this.#pool.exited(from.workerId, UNEXPLAINED, performance.now()); // nothing, if the pool knows
            }
          }),
      },
    });
    this.#notifier = new Notifier({ loaded: this.#native, env: process.env, pid: process.pid, log });
  }

  /** Serves until it is told to stop. Always throws HaltServer, whose status is the exit code. */
  async run(): Promise<never> {
    const undo: (() => void | Promise<void>)[] = [this.#catchAll(), () => this.#notifier.stop()];
    try {
      const stopped = Promise.withResolvers<never>();
      stopped.promise.catch(() => {}); // once it serves, the pool stops it
      const onSignal = (signal: ArbiterSignal): void => {
        if (STOPS.has(signal)) stopped.reject(new HaltServer('stopped as asked, before it served', 'ok'));
        this.#enqueue(signal, () => this.#onSignal(signal));
      };
      undo.push(this.#options.signals.connect(onSignal));
      undo.push(this.#reap(), this.#every(GARBAGE_MS, 'garbage collection', garbageWatch()));
      undo.push(this.#every(OOM_KILLS_MS, 'counting OOM kills', () => this.#workerEvents.countOomKills()));
      // A name server that does not answer must not hold up a stop.
      await Promise.race([stopped.promise, this.#start(undo)]);
      for (;;) {
        if (this.#halt) throw this.#halt;
        for (const { what, handle } of this.#inbox.splice(0)) await this.#attempt(what, handle);
        const now = performance.now();
        const waitedMs = (workerId: number): number => this.#workers.get(workerId)?.cpuWait?.take(now) ?? 0;
        for (const decision of this.#pool.due(now, waitedMs)) {
          await this.#attempt(`decision ${decision.do}`, () => this.#executor.perform(decision));
        }
        if (this.#halt) throw this.#halt;
        await this.#attempt('notifying the service manager', () => {
          this.#notifier.update(this.#pool.serviceState, this.#pool.readiness().reason);
        });
        await this.#sleep();
      }
    } finally {
      this.#listeners.release();
      for (const undone of undo.reverse()) await this.#attempt('the stop', undone);
    }
  }

  async #attempt(what: string, work: () => void | Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#failed(what, error);
    }
  }

  #failed(what: string, err: unknown): void {
    if (err instanceof HaltServer) {
      this.#halt ??= err;
      this.#wake();
    } else this.#log.error({ err }, `${what} failed; the server goes on`);
  }

  /** For what no try around it can catch: timers, promises, and Node.js' own callbacks, which an app can make fail. */
  #catchAll(): () => void {
    const { process } = this.#options;
    const caught = (error: unknown, origin: string): void => this.#failed(`a callback (${origin})`, error);
    process.on('uncaughtException', caught);
    return () => void process.off('uncaughtException', caught);
  }

  #every(intervalMs: number, what: string, look: () => void): () => void {
    const timer = setInterval(() => this.#enqueue(what, look), intervalMs);
    return () => clearInterval(timer);
  }

  async #start(undo: (() => void | Promise<void>)[]): Promise<void> {
    const { settings, process } = this.#options;
    const sizing = this.#sizer.inForce;
    const problem = directoryProblem(settings.chdir);
    if (problem) throw problem;
    this.#log.info(`tsunicorn ${version()} on Node.js ${process.version}`);
    if (sizing.warning) this.#log.warn(sizing.warning);
    this.#log.info(sizing.why);
    this.#handOverLogs();
    if (settings.pidfile) undo.push(writePidfile(settings.pidfile, process.pid, { info: (m) => this.#log.info(m) }));
    const inherited = inheritedSockets(process.env, process.pid);
    await this.#listeners.bind(inherited.length > 0 ? inherited : settings.bind, sizing.workers);
    if (settings.adminBind) undo.push(await serveAdmin(settings.adminBind, settings.socketMode, this.#adminSource));
    this.#log.info(`listening on ${this.#listeners.urls.join(', ')}`);
    if (settings.reload) undo.push(this.#reloadOnChange());
    const { resizeInterval } = settings;
    if (resizeInterval > 0) undo.push(this.#every(resizeInterval * 1000, 'resizing', () => this.#lookAtLimits()));
  }

  /** Before workers open them: in a directory of root only the arbiter can create a new file after logrotate. */
  #handOverLogs(): void {
    const { user, group, errorLog, accessLog } = this.#settings;
    const identity = identityOf(user, group);
    for (const path of new Set([errorLog, accessLog])) if (path !== '-' && path !== 'off') handOverLog(path, identity);
  }

  #lookAtLimits(): void {
    const before = this.#sizer.memoryGroup;
    this.#resize(this.#sizer.look(this.#options.readLimits(), performance.now()));
    const memory = this.#sizer.memoryGroup;
    if (memory?.limitBytes === before?.limitBytes && memory?.usageFile === before?.usageFile) return;
    for (const worker of this.#workers.values()) worker.send({ type: 'memory-limit', memory });
  }

  #reloadOnChange(): () => void {
    return reloadOnChange({
      settings: this.#settings,
      env: this.#options.process.env,
      log: this.#log,
      reload: () => this.#enqueue('reload', () => this.#pool.reload(this.#sizer.inForce.workers)),
    });
  }

  #resize(resize: Resize | undefined): void {
    if (!resize || this.#pool.stopping) return;
    this.#log.info(resize.say);
    if (!resize.sizing) return;
    if (resize.sizing.warning) this.#log.warn(resize.sizing.warning);
    this.#pool.sized(resize.sizing);
  }

  #reap(): () => void {
    return startReaper({
      loaded: this.#native,
      process: this.#options.process,
      isOurs: (pid) => [...this.#workers.values()].some((worker) => worker.pid === pid),
      reaped: () => this.#metrics.store.orphanReaped(),
      log: this.#log,
    });
  }

  #enqueue(what: string, handle: () => void): void {
    this.#inbox.push({ what, handle });
    this.#wake();
  }

  async #sleep(): Promise<void> {
    if (this.#inbox.length > 0 || this.#halt) return;
    const now = performance.now();
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, Math.min(TICK_MS, Math.max(0, this.#pool.nextDeadline(now) - now)));
    this.#wake = resolve;
    await promise;
    clearTimeout(timer);
  }

  #onSignal(signal: ArbiterSignal): void {
    const now = performance.now();
    const { target } = this.#pool;
    this.#log.info(`received ${signal}`);
    switch (signal) {
      case 'SIGTERM':
        return this.#pool.stop(now);
      case 'SIGINT':
      case 'SIGQUIT':
        return this.#pool.quit(now);
      case 'SIGHUP':
        this.#resize(this.#sizer.reset());
        return this.#pool.reload(this.#sizer.inForce.workers);
      case 'SIGTTIN':
        return this.#resize(this.#sizer.set(target + 1));
      case 'SIGTTOU':
        return this.#resize(this.#sizer.set(target - 1));
      case 'SIGUSR1':
        this.#options.reopenLog();
        this.#handOverLogs();
        for (const worker of this.#workers.values()) worker.send({ type: 'reload-logs' });
        return;
      case 'SIGUSR2':
        return void this.#attempt('status report', () => this.#adminSource.report());
      case 'SIGWINCH':
        // On a terminal it only says that the window was resized (Gunicorn, too, obeys it only as a daemon).
        return isatty(2) ? undefined : this.#pool.park();
      default:
        return signal satisfies never;
    }
  }
}
