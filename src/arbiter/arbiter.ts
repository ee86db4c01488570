/**
 * The arbiter's loop: handle what was signalled and reported → ask the pool what is due → have it done → sleep until
 * the next deadline. What it is told by workers goes to `news.ts`, what the pool decides to `actor.ts`. It never touches a
 * request.
 */
import { isatty } from 'node:tty';
import type { Logger } from 'pino';
import { serveAdmin } from '../admin/routes.ts';
import type { SettingStatus } from '../admin/status.ts';
import type { Settings } from '../config/settings.ts';
import { HaltServer } from '../errors.ts';
import type { Limits } from '../platform/kernel/limits.ts';
import { loadNative } from '../platform/native/native.ts';
import { Notifier } from '../platform/notify.ts';
import { startReaper } from '../platform/reaper.ts';
import type { ArbiterSignal, Signals } from '../platform/signals.ts';
import { inheritedSockets, Listeners } from '../platform/sockets.ts';
import { handOverLog, identityOf } from '../platform/users.ts';
import type { Sizing } from '../sizing.ts';
import { version } from '../version.ts';
import { ArbiterAdminSource } from './admin-source.ts';
import { reloadOnChange } from './dev-reload.ts';
import { Executor } from './executor.ts';
import { History } from './history.ts';
import { MemoryWatch } from './memory-watch.ts';
import { MetricsCollector } from './metrics/scrape.ts';
import { writePidfile } from './pidfile.ts';
import { Pool } from './pool/pool.ts';
import { type Resize, Sizer } from './sizer.ts';
import { keepTidy } from './tidy.ts';
import { WorkerEvents } from './worker-events.ts';
import { directoryProblem, type WorkerProcess } from './worker-process.ts';

/** The loop turns at least this often, so that a gap in its own time shows (see the pool's starvation rule). */
const TICK_MS = 1_000;
/** Orphans announce themselves by SIGCHLD; this finds one whose signal met a list that lacked it. */
const REAP_MS = 5_000;

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

export class Arbiter {
  readonly #options: ArbiterOptions;
  readonly #settings: Settings;
  readonly #log: Logger;
  readonly #sizer: Sizer;
  readonly #memory: MemoryWatch;
  readonly #pool: Pool;
  readonly #listeners: Listeners;
  readonly #workers = new Map<number, WorkerProcess>();
  readonly #metrics: MetricsCollector;
  readonly #views: ArbiterAdminSource;
  readonly #actor: Executor;
  readonly #news: WorkerEvents;
  readonly #notifier: Notifier;
  readonly #native = loadNative();
  readonly #inbox: (() => void)[] = [];
  #wake: () => void = () => {};

  constructor(options: ArbiterOptions) {
    const { settings, logger, process } = options;
    this.#options = options;
    this.#settings = settings;
    this.#log = logger;
    const limits = options.readLimits();
    this.#sizer = new Sizer(settings, limits);
    this.#memory = new MemoryWatch(settings, limits);
    this.#pool = new Pool({ ...settings, ...this.#sizer.inForce }, Math.random);
    // A worker at its cap has to leave connections to the others, which only a shared socket can. One that is short of
    // memory is replaced, and its successor has its socket.
    const uncapped = settings.workerClass === 'async' && settings.workerConnections === 0;
    this.#listeners = new Listeners({ reusePort: settings.reusePort && uncapped, socketMode: settings.socketMode });
    this.#metrics = new MetricsCollector({
      pool: this.#pool,
      workers: this.#workers,
      listeners: this.#listeners,
      native: this.#native.native,
      cpus: () => this.#sizer.inForce.cpus,
      process,
      log: logger,
      takeDroppedLines: options.takeDroppedLines,
    });
    const history = new History();
    const crew = {
      pool: this.#pool,
      listeners: this.#listeners,
      workers: this.#workers,
      metrics: this.#metrics,
      log: logger,
    };
    const { describeSettings } = options;
    this.#views = new ArbiterAdminSource({ ...crew, history, sizer: this.#sizer, describeSettings, process });
    this.#news = new WorkerEvents({ ...crew, history, chdir: settings.chdir });
    this.#actor = new Executor({
      ...crew,
      settings,
      sizer: this.#sizer,
      memory: this.#memory,
      native: this.#native,
      env: process.env,
      events: {
        message: (from, message) => this.#enqueue(() => this.#news.said(from, message)),
        exit: (from, exit) => this.#enqueue(() => this.#news.ended(from, exit)),
      },
    });
    this.#notifier = new Notifier({ loaded: this.#native, env: process.env, pid: process.pid, log: logger });
  }

  /** Serves until it is told to stop. Always throws HaltServer, whose status is the exit code. */
  async run(): Promise<never> {
    const undo: (() => void | Promise<void>)[] = [() => this.#notifier.stop()];
    try {
      const stopped = Promise.withResolvers<never>();
      const onSignal = (signal: ArbiterSignal): void => {
        if (STOPS.has(signal)) stopped.reject(new HaltServer('stopped as asked, before it served', 'ok'));
        this.#enqueue(() => this.#onSignal(signal));
      };
      undo.push(this.#options.signals.connect(onSignal));
      undo.push(this.#reap(), keepTidy(), this.#news.watchOomKills());
      // A name server that does not answer must not hold up a stop.
      stopped.promise.catch(() => {});
      await Promise.race([stopped.promise, this.#start(undo)]);
      for (;;) {
        for (const event of this.#inbox.splice(0)) event();
        const now = performance.now();
        const waitedMs = (workerId: number): number => this.#workers.get(workerId)?.cpuWait?.take(now) ?? 0;
        for (const decision of this.#pool.due(now, waitedMs)) await this.#actor.perform(decision);
        this.#notifier.update(this.#pool.serviceState, this.#pool.readiness().reason);
        await this.#sleep();
      }
    } finally {
      this.#listeners.release();
      for (const undone of undo.reverse()) await undone();
    }
  }

  async #start(undo: (() => void | Promise<void>)[]): Promise<void> {
    const { settings, process } = this.#options;
    const sizing = this.#sizer.inForce;
    const problem = directoryProblem(settings.chdir);
    if (problem !== undefined) throw new HaltServer(problem, 'config');
    this.#log.info(`tsunicorn ${version()} on Node.js ${process.version}`);
    if (sizing.warning) this.#log.warn(sizing.warning);
    this.#log.info(sizing.why);
    this.#handOverLogs();
    if (settings.pidfile) undo.push(writePidfile(settings.pidfile, process.pid, { info: (m) => this.#log.info(m) }));
    const inherited = inheritedSockets(process.env, process.pid);
    await this.#listeners.bind(inherited.length > 0 ? inherited : settings.bind, sizing.workers);
    if (settings.adminBind) undo.push(await serveAdmin(settings.adminBind, settings.socketMode, this.#views));
    this.#log.info(`listening on ${this.#listeners.urls.join(', ')}`);
    if (settings.reload) undo.push(this.#reloadOnChange());
    if (settings.resizeInterval > 0) undo.push(this.#lookAtLimits(settings.resizeInterval * 1000));
  }

  /** Before workers open them: in a directory of root only the arbiter can make a new file after logrotate. */
  #handOverLogs(): void {
    const { user, group, errorLog, accessLog } = this.#settings;
    const identity = identityOf(user, group);
    for (const path of new Set([errorLog, accessLog])) if (path !== '-' && path !== 'off') handOverLog(path, identity);
  }

  #lookAtLimits(intervalMs: number): () => void {
    const timer = setInterval(() => {
      this.#enqueue(() => {
        const limits = this.#options.readLimits();
        this.#resize(this.#sizer.look(limits, performance.now()));
        this.#memory.look(limits, this.#workers.values());
      });
    }, intervalMs);
    return () => clearInterval(timer);
  }

  #reloadOnChange(): () => void {
    return reloadOnChange({
      settings: this.#settings,
      env: this.#options.process.env,
      log: this.#log,
      reload: () => this.#enqueue(() => this.#pool.reload(this.#sizer.inForce.workers)),
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
      intervalMs: REAP_MS,
      log: this.#log,
    });
  }

  #enqueue(event: () => void): void {
    this.#inbox.push(event);
    this.#wake();
  }

  async #sleep(): Promise<void> {
    if (this.#inbox.length > 0) return;
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
        return void this.#views.report();
      case 'SIGWINCH':
        // On a terminal it only says that the window has another size (Gunicorn obeys it as a daemon alone, too).
        return isatty(2) ? undefined : this.#pool.park();
      default:
        return signal satisfies never;
    }
  }
}
