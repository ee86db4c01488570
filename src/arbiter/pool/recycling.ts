/** Marks workers for replacement by requests, age and RSS. Pure; times in milliseconds, sizes in bytes. */

import { MIB, mib } from '../../platform/bytes.ts';
import type { RestartReason } from './decisions.ts';
import type { PoolContext, PoolWorker } from './worker.ts';

/** Workers that started together must not expire together: each draws its lifetime from the last tenth. */
const LIFETIME_JITTER = 0.1;
/** Reports in a row above the limit, one a second: V8 may be about to collect its garbage by itself. */
const REPORTS = 3;
/** Younger workers are not recycled for their size, or the server would do nothing but boot. */
const MIN_AGE_MS = 10_000;
/** A worker that exceeds the limit within this time probably has a limit that is too low. */
const SOON_MS = 60_000;
/** Of the limit: garbage collection must bring a worker below this, or it would be due again at once. */
const CLEAN_SHARE = 0.9;
/** A worker does not answer while it collects: not two at once. */
const GC_GAP_MS = 1_000;
/** The successor of a worker that has grown by less since its start would be no smaller. */
const LEAST_GROWTH = 16 * MIB;
/** Low memory is a warning once in this time. */
const WARN_GAP_MS = 60_000;

const RAISE_RSS = 'Raise TSUNICORN_MAX_WORKER_RSS or the memory limit, or lower TSUNICORN_WORKERS';
const RAISE_MEMORY = 'Look for a leak, raise the memory limit, or lower TSUNICORN_WORKERS';

export interface Wear {
  readonly served: number;
  readonly rssBytes: number;
}

/** What a worker reports when it holds new requests. `heap`: its own heap is full, not the group's memory. */
export type MemoryFull = Pick<Wear, 'rssBytes'> & { readonly heap: boolean };

interface WearRecord {
  readonly maxRequests: number;
  readonly expiresAt: number;
  /** In its first report after it was ready. */
  firstRss: number | undefined;
  rss: number;
  served: number;
  above: number;
  collected: boolean;
}

export class Recycling {
  readonly #context: PoolContext;
  readonly #random: () => number;
  readonly #records = new WeakMap<PoolWorker, WearRecord>();
  /** The generation and limit for which a warning said that workers exceed it from their start. */
  #warnedFor = '';
  #collectedAt = Number.NEGATIVE_INFINITY;
  /** Reported since the last `due`. */
  #full: { readonly by: PoolWorker; readonly heap: boolean } | undefined;
  #warnedFullAt = Number.NEGATIVE_INFINITY;

  constructor(context: PoolContext, random: () => number) {
    this.#context = context;
    this.#random = random;
  }

  report(worker: PoolWorker | undefined, { served, rssBytes }: Wear): void {
    if (!worker || worker.state === 'booting') return;
    const record = this.#measured(worker, rssBytes);
    record.served = served;
    const max = (this.#context.wanted.maxRss ?? Number.POSITIVE_INFINITY) * (record.collected ? CLEAN_SHARE : 1);
    record.above = rssBytes > max ? record.above + 1 : 0;
    record.collected &&= rssBytes > max;
  }

  memoryFull(worker: PoolWorker | undefined, { rssBytes, heap }: MemoryFull): void {
    if (!worker || worker.state === 'booting') return;
    this.#measured(worker, rssBytes);
    if (!this.#full?.heap) this.#full = { by: worker, heap };
  }

  due(now: number): void {
    this.#makeRoom(now);
    for (const w of this.#context.workers.in('ready')) this.#judge(w, now);
  }

  nextDeadline(): number {
    return Math.min(...this.#context.workers.in('ready').map((w) => this.#recordOf(w).expiresAt));
  }

  /** One worker at a time: those that still hold requests report again. */
  #makeRoom(now: number): void {
    const { workers, decisions } = this.#context;
    const full = this.#full;
    this.#full = undefined;
    if (!full || [...workers.values()].some((w) => w.state !== 'ready')) return;
    const [largest] = workers
      .in('ready')
      .filter((w) => !full.heap || w === full.by)
      .map((worker) => ({ worker, ...this.#recordOf(worker) }))
      .filter(({ rss, firstRss = rss }) => rss - firstRss >= LEAST_GROWTH)
      .toSorted((a, b) => b.rss - a.rss);
    const warn = now - this.#warnedFullAt >= WARN_GAP_MS;
    if (warn) this.#warnedFullAt = now;
    if (largest) {
      const what = full.heap ? 'its JavaScript heap is nearly full' : 'the memory limit is nearly reached';
      const why = `RSS ${mib(largest.rss)} and ${what}, so new requests wait`;
      return this.#replace(largest.worker, 'rss', warn ? `${why}. ${RAISE_MEMORY}` : why, warn);
    }
    decisions.push({ do: 'release-holds' });
    const why = 'memory is low, but no worker has grown since its start, so none is replaced';
    if (warn) decisions.push({ do: 'warn', why: `${why}. ${RAISE_MEMORY}` });
  }

  #judge(w: PoolWorker, now: number): void {
    const { decisions, wanted } = this.#context;
    const record = this.#recordOf(w);
    const { served, maxRequests, expiresAt, rss, firstRss = 0 } = record;
    const max = wanted.maxRss;
    const ageMs = now - w.startedAt;
    const age = `${Math.round(ageMs / 1000)} s`;
    if (served >= maxRequests) {
      this.#replace(w, 'max_requests', `answered ${served} requests (TSUNICORN_MAX_REQUESTS)`);
    } else if (now >= expiresAt) {
      this.#replace(w, 'lifetime', `${age} old (TSUNICORN_MAX_WORKER_LIFETIME)`);
    } else if (max === undefined || record.above < REPORTS) {
      return;
    } else if (firstRss > max) {
      // Its successor would be no smaller.
      const above = `worker has RSS ${mib(firstRss)} right after its start, above TSUNICORN_MAX_WORKER_RSS (${mib(max)})`;
      const why = `${above}, so none is recycled for its size. ${RAISE_RSS}`;
      const warnedFor = `${w.generation} ${max}`;
      if (this.#warnedFor !== warnedFor) decisions.push({ do: 'warn', why });
      this.#warnedFor = warnedFor;
    } else if (ageMs < MIN_AGE_MS) {
      return;
    } else if (record.collected) {
      const why = `RSS ${mib(rss)} after GC exceeds TSUNICORN_MAX_WORKER_RSS (${mib(max)})`;
      const soon = ageMs < SOON_MS;
      this.#replace(w, 'rss', soon ? `${why} within ${age} of its start. ${RAISE_RSS}` : why, soon);
    } else if (now - this.#collectedAt >= GC_GAP_MS) {
      this.#collectedAt = now;
      record.above = 0;
      record.collected = true;
      decisions.push({ do: 'collect-garbage', workerId: w.workerId });
    }
  }

  #replace(worker: PoolWorker, reason: RestartReason, why: string, soon = false): void {
    if (!worker.markForReplacement(reason)) return;
    this.#context.decisions.push({ do: 'recycle', workerId: worker.workerId, why, soon });
  }

  #measured(worker: PoolWorker, rss: number): WearRecord {
    const record = this.#recordOf(worker);
    record.firstRss ??= rss;
    record.rss = rss;
    return record;
  }

  #recordOf(worker: PoolWorker): WearRecord {
    const known = this.#records.get(worker);
    if (known) return known;
    const { maxRequests, maxRequestsJitter, maxWorkerLifetime } = this.#context.settings;
    const jitter = Math.floor(this.#random() * (maxRequestsJitter + 1));
    const share = 1 - LIFETIME_JITTER * this.#random();
    const lifetime = maxWorkerLifetime === 'off' ? Number.POSITIVE_INFINITY : maxWorkerLifetime * 1000;
    const record = {
      maxRequests: maxRequests === 0 ? Number.POSITIVE_INFINITY : maxRequests + jitter,
      expiresAt: worker.startedAt + lifetime * share,
      firstRss: undefined,
      rss: 0,
      served: 0,
      above: 0,
      collected: false,
    };
    this.#records.set(worker, record);
    return record;
  }
}
