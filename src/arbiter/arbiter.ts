/**
 * The arbiter's loop: handle what came (signals, messages, exits, timers) → perform what the pool decides → sleep until
 * the next deadline. It never touches a request.
 *
 * One failure path: what a callback or a decision throws is logged with its subject, and the loop goes on; HaltServer ends
 * it, and so does a fault in the pool itself (`due`, `nextDeadline`), which is pure.
 */
import { relative } from 'node:path';
import { isatty } from 'node:tty';
import { serveAdmin } from '../admin/routes.ts';
import { ConfigError, HaltServer } from '../errors.ts';
import type { Logger } from '../observe/log/server-log.ts';
import { directoryProblem } from '../platform/directory.ts';
import { garbageWatch } from '../platform/gc.ts';
import { loadNative } from '../platform/native/native.ts';
import { existsSync } from '../platform/node-fs.ts';
import { Notifier } from '../platform/notify.ts';
import { startReaper } from '../platform/reaper.ts';
import type { ArbiterSignal } from '../platform/signals.ts';
import { inheritedSockets, Listeners } from '../platform/sockets.ts';
import { handOverLog, identityOf } from '../platform/users.ts';
import { watchSources } from '../platform/watch.ts';
import { version } from '../version.ts';
import { ArbiterAdminSource } from './admin-source.ts';
import type { ArbiterContext, ArbiterOptions } from './context.ts';
import { Executor } from './executor.ts';
import { ExitHistory } from './exit-history.ts';
import { MetricsCollector } from './metrics/scrape.ts';
import { writePidfile } from './pidfile.ts';
import { Pool } from './pool/pool.ts';
import { Relay, type RelayOptions } from './relay.ts';
import { type Resize, Sizer } from './sizer.ts';
import { StickySlots, stickyCalls } from './sticky.ts';
import { WorkerEvents } from './worker-events.ts';
import { subjectOf, type WorkerProcess } from './worker-process.ts';

/** The loop turns at least this often, so that a gap in its own time shows (see the pool's starvation rule). */
const TICK_MS = 1_000;
const OOM_KILLS_MS = 5_000;
const GARBAGE_MS = 10_000;

const NO_PROC =
  '/proc is not mounted: sizes, cgroup limits and the memory of workers are unknown, and orphans cannot be reaped. Mount it (mount -t proc proc /proc)';

const STOPS: ReadonlySet<ArbiterSignal> = new Set(['SIGTERM', 'SIGINT', 'SIGQUIT']);

export class Arbiter {
  readonly #context: ArbiterContext;
  readonly #adminSource: ArbiterAdminSource;
  readonly #workerEvents: WorkerEvents;
  readonly #sticky: StickySlots;
  readonly #executor: Executor;
  readonly #notifier: Notifier;
  readonly #inbox: { readonly what: string; readonly handle: () => void }[] = [];
  #halt: HaltServer | undefined;
  #wake: () => void = () => {};

  constructor(options: ArbiterOptions) {
    const { settings, process } = options;
    const log = options.serverLog.logger;
    const sizer = new Sizer(settings, options.readLimits());
    // A worker at its cap leaves connections to the others, which only a shared socket can. One that is short of memory is
    // replaced, and its successor has its socket.
    const uncapped = settings.workerClass === 'async' && settings.workerConnections === 0;
    const native = loadNative();
    const sticky = stickyCalls(settings, native);
    const workers = new Map<number, WorkerProcess>();
    const pool = new Pool({ ...settings, ...sizer.inForce }, Math.random);
    const shared = {
      ...options,
      log,
      sizer,
      pool,
      listeners: new Listeners({ reusePort: settings.reusePort && uncapped, socketMode: settings.socketMode, sticky }),
      workers,
      relay: new Relay(relayOptions(pool, workers, log)),
      history: new ExitHistory(),
      native,
      enqueue: (what: string, handle: () => void) => {
        this.#inbox.push({ what, handle });
        this.#wake();
      },
      failed: (what: string, error: unknown) => this.#failed(what, error),
    };
    this.#context = { ...shared, metrics: new MetricsCollector(shared) };
    this.#sticky = new StickySlots(this.#context, sticky !== undefined);
    this.#adminSource = new ArbiterAdminSource(this.#context);
    this.#workerEvents = new WorkerEvents(this.#context);
    this.#executor = new Executor(this.#context, this.#workerEvents);
    this.#notifier = new Notifier({ loaded: shared.native, env: process.env, pid: process.pid, log });
  }

  /** Serves until it is told to stop. Always throws HaltServer, whose status is the exit code. */
  async run(): Promise<never> {
    const { process, signals, pool, listeners, workers, metrics, native, log, enqueue } = this.#context;
    const undo: (() => void | Promise<void>)[] = [this.#catchAll(), () => this.#notifier.stop()];
    try {
      const stopped = Promise.withResolvers<never>();
      stopped.promise.catch(() => {}); // once it serves, the pool stops it
      const onSignal = (signal: ArbiterSignal): void => {
        if (STOPS.has(signal)) stopped.reject(new HaltServer('stopped as asked, before it served', 'ok'));
        enqueue(signal, () => this.#onSignal(signal));
      };
      undo.push(signals.connect(onSignal));
      const isOurs = (pid: number): boolean => [...workers.values()].some((worker) => worker.pid === pid);
      const reaped = (): void => metrics.store.orphanReaped();
      undo.push(startReaper({ loaded: native, process, isOurs, reaped, log }));
      undo.push(this.#every(GARBAGE_MS, 'garbage collection', garbageWatch()));
      undo.push(this.#every(OOM_KILLS_MS, 'counting OOM kills', () => this.#workerEvents.countOomKills()));
      // A name server that does not answer must not hold up a stop.
      await Promise.race([stopped.promise, this.#start(undo)]);
      for (;;) {
        if (this.#halt) throw this.#halt;
        for (const { what, handle } of this.#inbox.splice(0)) await this.#attempt(what, handle);
        const now = performance.now();
        const waitedMs = (workerId: number): number => workers.get(workerId)?.cpuWait?.take(now) ?? 0;
        for (const decision of pool.due(now, waitedMs)) {
          await this.#attempt(`decision ${decision.do}`, () => this.#executor.perform(decision));
        }
        if (this.#halt) throw this.#halt;
        this.#sticky.follow();
        await this.#attempt('notifying the service manager', () => {
          this.#notifier.update(pool.serviceState, pool.readiness().reason);
        });
        await this.#sleep();
      }
    } finally {
      listeners.release();
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
    } else this.#context.log.error({ err }, `${what} failed; the server goes on`);
  }

  /** For what no try around it can catch: timers, promises, and Node.js' own callbacks, which an app can make fail. */
  #catchAll(): () => void {
    const { process } = this.#context;
    const caught = (error: unknown, origin: string): void => this.#failed(`a callback (${origin})`, error);
    process.on('uncaughtException', caught);
    return () => void process.off('uncaughtException', caught);
  }

  #every(intervalMs: number, what: string, look: () => void): () => void {
    const timer = setInterval(() => this.#context.enqueue(what, look), intervalMs);
    return () => clearInterval(timer);
  }

  async #start(undo: (() => void | Promise<void>)[]): Promise<void> {
    const { settings, process, log, sizer, pool, listeners, enqueue } = this.#context;
    const { chdir, pidfile, adminBind, socketMode, reload, resizeInterval } = settings;
    const problem = directoryProblem(chdir);
    if (problem) throw problem;
    log.info(`tsunicorn ${version()} on Node.js ${process.version}`);
    if (process.platform === 'linux' && !existsSync('/proc/self')) log.warn(NO_PROC);
    const { warning, why, workers } = sizer.inForce;
    if (warning) log.warn(warning);
    log.info(why);
    this.#handOverLogs();
    if (pidfile) undo.push(writePidfile(pidfile, process.pid, (message) => log.info(message)));
    const inherited = inheritedSockets(process.env, process.pid);
    await listeners.bind(inherited.length > 0 ? inherited : settings.bind, workers);
    this.#sticky.start();
    if (adminBind) undo.push(await serveAdmin(adminBind, socketMode, this.#adminSource));
    log.info(`listening on ${listeners.urls.join(', ')}`);
    if (reload) {
      const onChange = (): void => enqueue('reload', () => pool.reload({ ...settings, ...sizer.inForce }));
      undo.push(reloadOnChange(this.#context, onChange));
    }
    if (resizeInterval > 0) undo.push(this.#every(resizeInterval * 1000, 'resizing', () => this.#lookAtLimits()));
  }

  /** Before workers open them: in a directory of root only the arbiter can create a new file after logrotate. */
  #handOverLogs(): void {
    const { user, group, errorLog, accessLog } = this.#context.settings;
    const identity = identityOf(user, group);
    for (const path of new Set([errorLog, accessLog])) if (path !== '-' && path !== 'off') handOverLog(path, identity);
  }

  #rereadSettings(): void {
    const { log } = this.#context;
    try {
      const { loaded, changed, needRestart } = this.#context.rereadSettings();
      this.#context.settings = loaded.settings;
      log.level = loaded.settings.logLevel;
      if (changed.length > 0) {
        log.info(`new workers get new values from files: ${changed.join(', ')}`);
        this.#handOverLogs();
      }
      for (const name of needRestart) log.warn(`${name} has a new value in its file, which needs a restart`);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      for (const line of error.message.split('\n')) log.error(`the settings stay as they were: ${line}`);
    }
  }

  #lookAtLimits(): void {
    const { sizer, readLimits, workers } = this.#context;
    const before = sizer.memoryGroup;
    this.#resize(sizer.look(readLimits(), performance.now()));
    const memory = sizer.memoryGroup;
    if (memory?.limitBytes === before?.limitBytes && memory?.usageFile === before?.usageFile) return;
    for (const worker of workers.values()) worker.send({ type: 'memory-limit', memory });
  }

  #resize(resize: Resize | undefined): void {
    const { pool, log } = this.#context;
    if (!resize || pool.stopping) return;
    log.info(resize.say);
    if (resize.sizing?.warning) log.warn(resize.sizing.warning);
    if (resize.sizing) pool.sized(resize.sizing);
  }

  async #sleep(): Promise<void> {
    if (this.#inbox.length > 0 || this.#halt) return;
    const now = performance.now();
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, Math.min(TICK_MS, Math.max(0, this.#context.pool.nextDeadline(now) - now)));
    this.#wake = resolve;
    await promise;
    clearTimeout(timer);
    // At a deadline on a busy machine the heartbeat or the end of a worker may have come, and only not been read.
    await new Promise(setImmediate);
  }

  #onSignal(signal: ArbiterSignal): void {
    const { pool, sizer, serverLog, workers, log } = this.#context;
    log.info(`received ${signal}`);
    switch (signal) {
      case 'SIGTERM':
        return pool.stop(performance.now());
      case 'SIGINT':
      case 'SIGQUIT':
        return pool.quit(performance.now());
      case 'SIGHUP':
        if (!pool.stopping) this.#rereadSettings();
        this.#resize(sizer.set(undefined, this.#context.settings));
        return pool.reload({ ...this.#context.settings, ...sizer.inForce });
      case 'SIGTTIN':
        return this.#resize(sizer.set(pool.target + 1));
      case 'SIGTTOU':
        return this.#resize(sizer.set(pool.target - 1));
      case 'SIGUSR1':
        serverLog.destination.reopen();
        this.#handOverLogs();
        for (const worker of workers.values()) worker.send({ type: 'reload-logs' });
        return;
      case 'SIGUSR2':
        return void this.#attempt('status report', () => this.#adminSource.report());
      case 'SIGWINCH':
        // On a terminal it only says that the window was resized (Gunicorn, too, obeys it only as a daemon).
        return isatty(2) ? undefined : pool.park();
      default:
        return signal satisfies never;
    }
  }
}

function relayOptions(pool: Pool, workers: ReadonlyMap<number, WorkerProcess>, log: Logger): RelayOptions {
  const subject = (workerId: number): object => {
    const worker = workers.get(workerId);
    return worker ? subjectOf(worker) : { workerId };
  };
  return {
    silent: (workerId) => pool.silent(workerId, performance.now()),
    dropping: (workerId) => log.warn(subject(workerId), MISSES),
    dropped: (workerId, messages) => {
      log.warn({ ...subject(workerId), messages }, `worker missed ${messages} messages of other workers`);
    },
  };
}

/** `TSUNICORN_RELOAD`: watches the app's source files until the returned function is called. */
function reloadOnChange({ settings, process, log }: ArbiterContext, reload: () => void): () => void {
  const { chdir, accessLog, errorLog } = settings;
  log.warn(RELOADS(chdir) + (process.env.NODE_ENV === 'production' ? ' NODE_ENV is production here: unset it.' : ''));
  return watchSources({
    directory: chdir,
    ignore: new Set([accessLog, errorLog]),
    changed: (files) => {
      const [first = '', ...others] = files.map((file) => relative(chdir, file));
      log.info(`${first}${others.length > 0 ? ` and ${others.length} more` : ''} changed: reloading`);
      reload();
    },
    failed: (directory, error) => {
      const mend = error.code === 'ENOSPC' ? ': raise the sysctl fs.inotify.max_user_watches' : '';
      log.warn(`changes in ${directory} are not seen: ${error.message}${mend}`);
    },
  });
}

const RELOADS = (directory: string): string =>
  `TSUNICORN_RELOAD is on, for development alone: workers are replaced when a source file below ${directory} changes, and their requests get one second.`;

const MISSES =
  'worker misses messages of other workers: it has been silent for 3 s, and 8 MiB of messages wait until it reads again';
