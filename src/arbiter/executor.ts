/** Performs what the pool decided: the acting hand of the arbiter. */
import type { Logger } from 'pino';
import type { Settings } from '../config/settings.ts';
import { HaltServer } from '../errors.ts';
import type { LoadedNative } from '../platform/native/native.ts';
import { NOTIFY_VARIABLES } from '../platform/notify.ts';
import type { Listeners } from '../platform/sockets.ts';
import { identityOf } from '../platform/users.ts';
import type { MemoryWatch } from './memory-watch.ts';
import type { MetricsCollector } from './metrics/scrape.ts';
import { nodeFlags } from './node-flags.ts';
import type { Decision } from './pool/decisions.ts';
import type { Pool } from './pool/pool.ts';
import type { Sizer } from './sizer.ts';
import { subjectOf, WorkerProcess, type WorkerProcessListener } from './worker-process.ts';

/** An answer takes a millisecond, and more where there is no CPU for it, which may be why the worker is late. */
const LAST_WORDS_MS = 1_000;
/** In a stop, whose time is over. */
const LAST_WORDS_AT_STOP_MS = 100;

const CANNOT_KILL =
  'the arbiter must run as the user of its workers or have CAP_KILL (docker run --cap-add KILL; systemd: CapabilityBoundingSet=)';

export interface ExecutorOptions {
  readonly settings: Settings;
  readonly pool: Pool;
  readonly sizer: Sizer;
  readonly listeners: Listeners;
  /** By workerId; new ones are added. */
  readonly workers: Map<number, WorkerProcess>;
  readonly metrics: MetricsCollector;
  readonly memory: MemoryWatch;
  readonly log: Logger;
  readonly native: LoadedNative;
  /** The arbiter's. */
  readonly env: NodeJS.ProcessEnv;
  /** What becomes of workers. */
  readonly events: WorkerProcessListener;
}

export class Executor {
  readonly #options: ExecutorOptions;
  /** Whom workers run as. */
  readonly #identity: { readonly uid?: number; readonly gid?: number };
  readonly #workerEnv: NodeJS.ProcessEnv;

  constructor(options: ExecutorOptions) {
    const { settings } = options;
    this.#options = options;
    this.#identity = identityOf(settings.user, settings.group);
    const { LISTEN_FDS: _fds, LISTEN_PID: _pid, LISTEN_FDNAMES: _names, ...env } = options.env;
    for (const name of NOTIFY_VARIABLES) delete env[name];
    this.#workerEnv = env;
  }

  /** Does what the pool decided. Throws HaltServer at the end. */
  async perform(decision: Decision): Promise<void> {
    const { log, listeners, workers } = this.#options;
    if (decision.do === 'spawn') return await this.#spawn(decision);
    if (decision.do === 'halt') throw new HaltServer(decision.why, decision.exit);
    if (decision.do === 'warn') return log.warn(decision.why);
    if (decision.do === 'release-holds') {
      for (const worker of workers.values()) worker.send({ type: 'release-hold' });
      return;
    }
    if (decision.do === 'release-listeners') return listeners.release();
    if (decision.do === 'give-up-reload') {
      return log.error(`the reload is given up, the workers that serve go on: ${decision.why}`);
    }
    const worker = workers.get(decision.workerId);
    if (!worker) return;
    const subject = subjectOf(worker);
    switch (decision.do) {
      case 'close-connections':
        return worker.send({ type: 'close-connections' });
      case 'collect-garbage':
        log.debug(subject, 'worker clears up its memory');
        return worker.send({ type: 'collect-garbage' });
      case 'recycle':
        return log[decision.soon ? 'warn' : 'info'](subject, `worker is to be replaced: ${decision.why}`);
      case 'drain':
        log.info(subject, `worker drains: ${decision.why}`);
        return worker.send({
          type: 'drain',
          quick: decision.quick,
          leftMs: decision.by - performance.now(),
          sweep: decision.sweep,
        });
      case 'kill':
        // Not awaited: the others have their deadlines too.
        return void this.#kill(worker, decision.why, decision.stuck);
      case 'cover':
        for (const { key, handle } of listeners.ownedBy(decision.slot)) {
          worker.send({ type: 'descriptor', key, cover: true }, handle);
        }
        return;
      case 'uncover':
        for (const { key } of listeners.ownedBy(decision.slot)) {
          worker.covers.delete(key);
          worker.send({ type: 'uncover', key });
        }
        return;
      default:
        return decision satisfies never;
    }
  }

  /** Where a worker is stuck can only be asked while it lives. */
  async #kill(worker: WorkerProcess, why: string, stuck: boolean): Promise<void> {
    const inFlight = this.#options.metrics.store.latest(worker.workerId)?.inFlight ?? 0;
    const waitMs = this.#options.pool.stopping ? LAST_WORDS_AT_STOP_MS : LAST_WORDS_MS;
    const where = stuck ? await worker.whereabouts(waitMs) : {};
    worker.stackAtDeath = where.stack;
    const problem = worker.kill(why);
    const subject = { ...subjectOf(worker), inFlight, ...where };
    if (problem === undefined) this.#options.log.warn(subject, `worker is killed: ${why}`);
    else this.#options.log.error(subject, `kill() failed with ${problem} (${why}): ${CANNOT_KILL}`);
  }

  async #spawn({ workerId, slot }: { readonly workerId: number; readonly slot: number }): Promise<void> {
    const { settings, sizer, pool, listeners, log, events, memory, native } = this.#options;
    try {
      await listeners.ensureSlots(slot + 1);
    } catch (error) {
      if (!(error instanceof HaltServer)) throw error;
      log.error(`no further worker: ${error.message}`);
      pool.resize(slot);
      pool.exited(workerId, { why: error.message, fatal: false }, performance.now());
      return;
    }
    const worker = new WorkerProcess(
      {
        slot,
        workerId,
        settings,
        listeners: listeners.of(slot),
        ports: listeners.ports,
        execArgv: nodeFlags(settings, sizer.inForce.heapBytes, this.#workerEnv.NODE_OPTIONS),
        env: this.#workerEnv,
        stackSignal: native.native?.stackSignal,
        memory: memory.watched,
        started: pool.serviceState !== 'starting',
        ...this.#identity,
      },
      events,
    );
    this.#options.workers.set(workerId, worker);
    log.debug(subjectOf(worker), 'worker boots');
  }
}
