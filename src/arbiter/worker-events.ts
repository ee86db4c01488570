/** Takes what workers say and how they end to everybody whom it concerns: the pool, the books, the log. */
import type { Logger } from 'pino';
import { type FromWorker, WELCOME_APP } from '../messages.ts';
import { OomKills } from '../platform/kernel/oom.ts';
import { SIGNALS } from '../platform/signals.ts';
import type { Listeners } from '../platform/sockets.ts';
import { explainExit } from './autopsy.ts';
import type { History } from './history.ts';
import type { MetricsCollector } from './metrics/scrape.ts';
import type { RestartReason } from './pool/decisions.ts';
import type { Pool } from './pool/pool.ts';
import { type Exit, subjectOf, type WorkerProcess } from './worker-process.ts';

/** Kills of other processes in the group are not to explain deaths of workers much later. */
const OOM_LOOK_MS = 5_000;

export interface WorkerEventsOptions {
  readonly pool: Pool;
  readonly listeners: Listeners;
  /** By workerId; those that ended are removed. */
  readonly workers: Map<number, WorkerProcess>;
  readonly metrics: MetricsCollector;
  readonly history: History;
  readonly log: Logger;
  /** The app's directory. */
  readonly chdir: string;
}

export class WorkerEvents {
  readonly #options: WorkerEventsOptions;
  readonly #oomKills = new OomKills();

  constructor(options: WorkerEventsOptions) {
    this.#options = options;
  }

  /** Returns what ends it. */
  watchOomKills(): () => void {
    const timer = setInterval(() => this.#oomKills.look(performance.now()), OOM_LOOK_MS);
    return () => clearInterval(timer);
  }

  said(worker: WorkerProcess, message: FromWorker): void {
    try {
      this.#take(worker, message);
    } catch (err) {
      // The app can send what it likes, and is not to end the server by that.
      this.#options.log.error({ ...subjectOf(worker), err }, 'worker sent a message that no worker sends');
      worker.kill('it sent a message that no worker sends');
    }
  }

  #take(worker: WorkerProcess, message: FromWorker): void {
    const { pool, listeners, metrics, log, chdir } = this.#options;
    const now = performance.now();
    const { workerId } = worker;
    // The others say that the worker can answer, not that its time for a request is not over (class sync).
    if (message.type !== 'report' && message.type !== 'app-report') {
      pool.beat(workerId, now);
      worker.cpuWait?.take(now); // what it waited before is of no consequence
    }
    switch (message.type) {
      case 'waiting':
        return pool.waits(workerId, message.for);
      case 'ready':
        pool.ready(workerId, now);
        worker.heapSizeLimitBytes = message.heapSizeLimitBytes;
        log.info(subjectOf(worker), `worker is ready with ${message.app}`);
        if (message.app === WELCOME_APP && workerId === 1) log.warn(NO_APP(chdir));
        return;
      case 'heartbeat':
        pool.report(workerId, message.report);
        return metrics.received(worker, message);
      case 'full':
        return pool.full(workerId, message);
      case 'report':
        // Of a new worker: what it has before its first request.
        if (message.serial === 0) pool.report(workerId, message.report);
        return metrics.received(worker, message);
      case 'app-report':
        return metrics.received(worker, message);
      case 'replace-me':
        if (!pool.stopping) log.info(subjectOf(worker), 'worker received SIGTERM and is to be replaced');
        return pool.leave(workerId, 'reload');
      case 'crashing':
        worker.lastWords = { ...message, fatal: false };
        return pool.broke(workerId, message.reason, now);
      case 'boot-failed':
        worker.lastWords = message;
        return;
      case 'need-descriptor': {
        const handle = listeners.get(message.key)?.handle;
        if (handle) worker.send({ type: 'descriptor', key: message.key, cover: false }, handle);
        return;
      }
      case 'covers': {
        const slot = listeners.get(message.key)?.slot;
        worker.covers.add(message.key);
        if (slot === undefined || !listeners.ownedBy(slot).every(({ key }) => worker.covers.has(key))) return;
        return pool.covers(workerId, slot);
      }
      case 'hello':
        return;
      default:
        return message satisfies never;
    }
  }

  ended(worker: WorkerProcess, exit: Exit): void {
    const { pool, workers, metrics, history, log } = this.#options;
    const now = performance.now();
    const { workerId, killedFor, heapLimitBytes, outOfMemory, tellsOutOfMemory } = worker;
    const heapUsedBytes = metrics.store.latest(workerId)?.heapUsedBytes;
    const oomKilled = exit.signal === 'SIGKILL' && this.#oomKills.explains(now);
    const { cause, how } = explainExit({
      exit,
      murdered: killedFor !== undefined,
      oomKilled,
      outOfMemory,
      tellsOutOfMemory,
      heapUsedBytes,
      heapLimitBytes,
    });
    workers.delete(workerId);
    metrics.gone(worker);
    if (!worker.born && exit.code) worker.lastWords ??= { ...UNBORN, reason: `${how}${UNBORN.reason}` };
    // Before it says hello it has no handlers: what was meant for the whole process group must not count against the app.
    const interrupted = !worker.born && killedFor === undefined && SIGNALS.some((signal) => signal === exit.signal);
    const directory = exit.badDirectory === undefined ? undefined : ({ fatal: true, exit: 'config' } as const);
    const { reason: why = how, fatal = false, exit: ends } = worker.lastWords ?? { reason: undefined, ...directory };
    const startedAt = pool.workers.find((w) => w.workerId === workerId)?.startedAt ?? now;
    const reason = pool.exited(workerId, { why, fatal, exit: ends, oom: cause === 'oom', interrupted }, now);
    history.ended(worker, { reason, how, seconds: (now - startedAt) / 1000, date: new Date() });
    if (reason) metrics.store.restarted(reason);
    const level = reason && FAILURES.has(reason) ? 'error' : 'info';
    const shown = (reason === 'crash' || reason === 'boot') && cause ? cause : reason;
    log[level](
      { ...subjectOf(worker), ...(shown && { reason: shown }) },
      `worker ended: ${how}${interrupted ? ' before it had handlers; another one boots' : ''}`,
    );
  }
}

const FAILURES: ReadonlySet<RestartReason> = new Set(['crash', 'oom', 'stall', 'boot']);

/** Of what Node.js does not start with: a flag that it does not know, a preload that throws. */
const UNBORN = { reason: ' before it could say why: see stderr', stack: undefined, fatal: false };

const NO_APP = (directory: string): string =>
  `no app is configured and none was found in ${directory}: serving the built-in welcome app. Set TSUNICORN_APP, for example TSUNICORN_APP=dist/app.js`;
