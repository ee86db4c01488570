/**
 * The arbiter's loop: handle what was signalled and reported → ask the pool what is due → do it → sleep until the next
 * deadline. It binds, spawns, watches and reports; it never touches a request.
 */
import { isatty } from 'node:tty';
import type { Logger } from 'pino';
import { type AdminSource, serveAdmin } from '../admin/admin.ts';
import type { SettingStatus } from '../admin/status.ts';
import type { Settings } from '../config/settings.ts';
import { HaltServer } from '../errors.ts';
import { type FromWorker, WELCOME_APP } from '../messages.ts';
import { identityOf } from '../platform/identity.ts';
import type { Limits } from '../platform/limits.ts';
import { inheritedSockets, Listeners } from '../platform/listeners.ts';
import { loadNative } from '../platform/native.ts';
import { statSync } from '../platform/node-fs.ts';
import { NOTIFY_VARIABLES, Notifier } from '../platform/notify.ts';
import { OomKills } from '../platform/oom.ts';
import { startReaper } from '../platform/reaper.ts';
import type { ArbiterSignal, Signals } from '../platform/signals.ts';
import { askForStack } from '../platform/stack.ts';
import { readUsage } from '../platform/usage.ts';
import type { Sizing } from '../sizing.ts';
import { version } from '../version.ts';
import { autopsy } from './autopsy.ts';
import type { Decision, RestartReason } from './decisions.ts';
import { History } from './history.ts';
import { nodeFlags } from './node-flags.ts';
import { writePidfile } from './pidfile.ts';
import { Pool } from './pool.ts';
import { reloadOnChange } from './reload-on-change.ts';
import { reportOnWorkers } from './report.ts';
import { type Resize, Sizer } from './sizer.ts';
import { type StatusSources, statusOf } from './status.ts';
import { Telemetry } from './telemetry.ts';
import { type Exit, type StackSource, WorkerHandle } from './worker-handle.ts';

/** The loop turns at least this often, so that a gap in its own time shows (see the pool's starvation rule). */
const TICK_MS = 1_000;
/** Orphans announce themselves by SIGCHLD; this finds one whose signal met a list that lacked it. */
const REAP_MS = 5_000;
/** An answer takes a millisecond, and more where there is no CPU for it, which may be why the worker is late. */
const LAST_WORDS_MS = 1_000;

export interface ArbiterOptions {
  readonly settings: Settings;
  /** Every setting as `tsunicorn config --json` shows it, for what sizing made of those that left it the choice. */
  readonly describeSettings: (sizing: Sizing) => Readonly<Record<string, SettingStatus>>;
  /** Asks the kernel what it grants now. */
  readonly readLimits: () => Limits;
  readonly logger: Logger;
  /** Reopens the server log's file. */
  readonly reopenLog: () => void;
  readonly signals: Signals;
  readonly process: NodeJS.Process;
}

export class Arbiter {
  readonly #options: ArbiterOptions;
  readonly #settings: Settings;
  readonly #log: Logger;
  readonly #sizer: Sizer;
  readonly #pool: Pool;
  readonly #listeners: Listeners;
  readonly #workers = new Map<number, WorkerHandle>();
  readonly #telemetry: Telemetry;
  readonly #history = new History();
  readonly #startedAt = performance.now();
  readonly #identity: { uid?: number; gid?: number };
  readonly #workerEnv: NodeJS.ProcessEnv;
  readonly #notifier: Notifier;
  readonly #native = loadNative();
  readonly #stacks: StackSource | undefined;
  readonly #oomKills = new OomKills();
  readonly #inbox: (() => void)[] = [];
  #wake: () => void = () => {};

  constructor(options: ArbiterOptions) {
    const { settings, logger, process } = options;
    this.#options = options;
    this.#settings = settings;
    this.#log = logger;
    this.#identity = identityOf(settings.user, settings.group);
    this.#sizer = new Sizer(settings, options.readLimits());
    this.#pool = new Pool({ ...settings, ...this.#sizer.inForce }, Math.random);
    // A worker that may pause has to leave its connections to the others, which only a shared socket can.
    const uncapped = settings.workerClass === 'async' && settings.workerConnections === 0;
    this.#listeners = new Listeners({ reusePort: settings.reusePort && uncapped, socketMode: settings.socketMode });
    this.#telemetry = new Telemetry({
      pool: this.#pool,
      workers: this.#workers,
      listeners: this.#listeners,
      native: this.#native.native,
      process,
      log: logger,
    });
    const { LISTEN_FDS: _fds, LISTEN_PID: _pid, LISTEN_FDNAMES: _names, ...env } = process.env;
    for (const name of NOTIFY_VARIABLES) delete env[name];
    this.#workerEnv = env;
    const signal = this.#native.native?.stackSignal;
    this.#stacks =
      signal === undefined ? undefined : (pid, socket, waitMs) => askForStack({ pid, signal, waitMs }, socket);
    this.#notifier = new Notifier({ loaded: this.#native, env: process.env, pid: process.pid, log: logger });
  }

  /** Serves until it is told to stop. Always throws HaltServer, whose status is the exit code. */
  async run(): Promise<never> {
    const undo: (() => void | Promise<void>)[] = [() => this.#notifier.stop()];
    try {
      undo.push(this.#options.signals.connect((signal) => this.#enqueue(() => this.#onSignal(signal))));
      undo.push(this.#reap());
      await this.#start(undo);
      for (;;) {
        for (const event of this.#inbox.splice(0)) event();
        const now = performance.now();
        for (const age of this.#pool.suspects(now)) {
          this.#pool.waited(age, this.#workers.get(age)?.cpuWait?.take(now) ?? 0, now);
        }
        for (const decision of this.#pool.due(now)) await this.#perform(decision);
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
    if (!statSync(settings.chdir, { throwIfNoEntry: false })?.isDirectory()) {
      throw new HaltServer(`TSUNICORN_CHDIR=${settings.chdir}: there is no such directory`, 'config');
    }
    this.#log.info(`tsunicorn ${version()} on Node.js ${process.version}`);
    if (sizing.warning) this.#log.warn(sizing.warning);
    this.#log.info(sizing.why);
    if (settings.pidfile) undo.push(writePidfile(settings.pidfile, process.pid));
    const inherited = inheritedSockets(process.env, process.pid);
    await this.#listeners.bind(inherited.length > 0 ? inherited : settings.bind, sizing.workers);
    if (settings.adminBind) undo.push(await serveAdmin(settings.adminBind, this.#adminSource()));
    this.#log.info(`listening on ${this.#listeners.urls.join(', ')}`);
    if (settings.reload) undo.push(this.#reloadOnChange());
    if (settings.resizeInterval > 0) undo.push(this.#lookAtLimits(settings.resizeInterval * 1000));
  }

  #lookAtLimits(intervalMs: number): () => void {
    const timer = setInterval(() => {
      this.#enqueue(() => this.#resize(this.#sizer.look(this.#options.readLimits(), performance.now())));
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
      reaped: () => this.#telemetry.ledger.orphanReaped(),
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
        for (const worker of this.#workers.values()) worker.send({ type: 'reopen logs' });
        return;
      case 'SIGUSR2':
        return void this.#report();
      case 'SIGWINCH':
        // On a terminal it only says that the window has another size (Gunicorn obeys it as a daemon alone, too).
        return isatty(2) ? undefined : this.#pool.park();
      default:
        return signal satisfies never;
    }
  }

  /** Does what the pool decided. Throws HaltServer at the end. */
  async #perform(decision: Decision): Promise<void> {
    if (decision.do === 'spawn') return await this.#spawn(decision);
    if (decision.do === 'halt') throw new HaltServer(decision.why, decision.exit);
    if (decision.do === 'warn') return this.#log.warn(decision.why);
    if (decision.do === 'release listeners') return this.#listeners.release();
    if (decision.do === 'give up reload') {
      return this.#log.error(`the reload is given up, the workers that serve go on: ${decision.why}`);
    }
    const worker = this.#workers.get(decision.age);
    if (!worker) return;
    const subject = subjectOf(worker);
    switch (decision.do) {
      case 'close connections':
        return worker.send({ type: 'closing' });
      case 'recycle':
        return this.#log[decision.soon ? 'warn' : 'info'](subject, `worker is to be replaced: ${decision.why}`);
      case 'drain':
        this.#log.info(subject, `worker drains: ${decision.why}`);
        return worker.send({ type: 'drain', quick: decision.quick });
      case 'kill':
        // Not awaited: the others have their deadlines too.
        return void this.#kill(worker, decision.why, decision.stuck);
      case 'cover':
        for (const { key, handle } of this.#listeners.ownedBy(decision.slot)) {
          worker.send({ type: 'descriptor', key, cover: true }, handle);
        }
        return;
      case 'uncover':
        for (const { key } of this.#listeners.ownedBy(decision.slot)) worker.send({ type: 'uncover', key });
        return;
      default:
        return decision satisfies never;
    }
  }

  /** Where a worker is stuck can only be asked while it lives. */
  async #kill(worker: WorkerHandle, why: string, stuck: boolean): Promise<void> {
    const inFlight = this.#telemetry.ledger.latest(worker.age)?.inFlight ?? 0;
    const where = stuck ? await worker.whereabouts(LAST_WORDS_MS) : {};
    worker.stackAtDeath = where.stack;
    this.#log.warn({ ...subjectOf(worker), inFlight, ...where }, `worker is killed: ${why}`);
    worker.kill(why);
  }

  async #spawn({ age, slot }: { readonly age: number; readonly slot: number }): Promise<void> {
    try {
      await this.#listeners.ensureSlots(slot + 1);
    } catch (error) {
      if (!(error instanceof HaltServer)) throw error;
      this.#log.error(`no further worker: ${error.message}`);
      this.#pool.resize(slot);
      this.#pool.exited(age, { why: error.message, fatal: false }, performance.now());
      return;
    }
    const worker = new WorkerHandle(
      {
        slot,
        age,
        settings: this.#settings,
        listeners: this.#listeners.of(slot),
        ports: this.#listeners.ports,
        execArgv: nodeFlags(this.#settings, this.#sizer.inForce.heapBytes, this.#workerEnv.NODE_OPTIONS),
        env: this.#workerEnv,
        stacks: this.#stacks,
        ...this.#identity,
      },
      {
        message: (from, message) => this.#enqueue(() => this.#onMessage(from, message)),
        exit: (from, exit) => this.#enqueue(() => this.#onExit(from, exit)),
      },
    );
    this.#workers.set(age, worker);
    this.#log.debug(subjectOf(worker), 'worker boots');
  }

  #onMessage(worker: WorkerHandle, message: FromWorker): void {
    const now = performance.now();
    const { age } = worker;
    // The others say that the worker can answer, not that its time for a request is not over (class sync).
    if (message.type !== 'report' && message.type !== 'app report') {
      this.#pool.beat(age, now);
      worker.cpuWait?.take(now); // what it waited before is of no consequence
    }
    switch (message.type) {
      case 'waiting':
        return this.#pool.waits(age, message.for);
      case 'ready':
        this.#pool.ready(age, now);
        worker.heapSizeLimitBytes = message.heapSizeLimitBytes;
        this.#log.info(subjectOf(worker), `worker is ready with ${message.app}`);
        if (message.app === WELCOME_APP && age === 1) this.#log.warn(NO_APP(this.#settings.chdir));
        return;
      case 'beat':
        this.#pool.report(age, message.report);
        return this.#telemetry.received(worker, message);
      case 'report':
      case 'app report':
        return this.#telemetry.received(worker, message);
      case 'asks to leave':
        if (!this.#pool.stopping) this.#log.info(subjectOf(worker), 'worker received SIGTERM and is to be replaced');
        return this.#pool.leave(age, 'reload');
      case 'broken':
        worker.lastWords = { ...message, fatal: false };
        return this.#pool.broke(age, now);
      case 'boot failed':
        worker.lastWords = message;
        return;
      case 'want descriptor': {
        const handle = this.#listeners.get(message.key)?.handle;
        if (handle) worker.send({ type: 'descriptor', key: message.key, cover: false }, handle);
        return;
      }
      case 'born':
        return;
      default:
        return message satisfies never;
    }
  }

  #onExit(worker: WorkerHandle, exit: Exit): void {
    const now = performance.now();
    const { age, killedFor, heapLimitBytes } = worker;
    const heapUsedBytes = this.#telemetry.ledger.latest(age)?.heapUsedBytes;
    const oomKilled = exit.signal === 'SIGKILL' && this.#oomKills.explains(now);
    const { cause, how } = autopsy({
      exit,
      murdered: killedFor !== undefined,
      oomKilled,
      heapUsedBytes,
      heapLimitBytes,
    });
    this.#workers.delete(age);
    this.#telemetry.gone(worker);
    const { reason: why = how, fatal = false } = worker.lastWords ?? {};
    const bornAt = this.#pool.workers.find((w) => w.age === age)?.bornAt ?? now;
    const reason = this.#pool.exited(age, { why, fatal, oom: cause === 'oom' }, now);
    this.#history.ended(worker, { reason, how, seconds: (now - bornAt) / 1000, date: new Date() });
    if (reason) this.#telemetry.ledger.restarted(reason);
    const level = reason && FAILURES.has(reason) ? 'error' : 'info';
    const shown = reason === 'crash' && cause ? cause : reason;
    this.#log[level]({ ...subjectOf(worker), ...(shown && { reason: shown }) }, `worker ended: ${how}`);
  }

  async #report(): Promise<void> {
    const sources = { pool: this.#pool, ledger: this.#telemetry.ledger, workers: this.#workers };
    const workers = await reportOnWorkers(sources, performance.now());
    this.#log.info({ target: this.#pool.target, ...this.#pool.readiness(), workers }, 'status report');
  }

  #statusSources(): StatusSources {
    const { process, describeSettings } = this.#options;
    const sizing = this.#sizer.inForce;
    return {
      pool: this.#pool,
      ledger: this.#telemetry.ledger,
      history: this.#history,
      sizing,
      usage: readUsage(),
      settings: describeSettings(sizing),
      listeners: this.#listeners.urls,
      processes: this.#workers,
      pid: process.pid,
      startedAt: this.#startedAt,
    };
  }

  #adminSource(): AdminSource {
    return {
      readiness: () => this.#pool.readiness(),
      metrics: (accept) => this.#telemetry.metrics(accept),
      status: async () => {
        await this.#telemetry.refresh();
        return statusOf(this.#statusSources(), performance.now(), new Date());
      },
    };
  }
}

function subjectOf({ slot, age, pid }: WorkerHandle): { worker: number; age: number; workerPid: number | undefined } {
  return { worker: slot, age, workerPid: pid };
}

const FAILURES: ReadonlySet<RestartReason> = new Set(['crash', 'oom', 'stall', 'boot']);

const NO_APP = (directory: string): string =>
  `no app is configured and none was found in ${directory}: serving the built-in welcome app. Set TSUNICORN_APP, for example TSUNICORN_APP=dist/app.js`;
