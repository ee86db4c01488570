/**
 * Which worker has served long enough: too many requests, too much memory, too old. It is only marked; it goes on
 * serving until its replacement is ready. Pure; times in milliseconds, sizes in bytes.
 */
import type { Decision, PoolSettings } from './decisions.ts';
import { mib, ResidentSizes, type Verdict } from './resident-sizes.ts';
import type { PoolWorker, PoolWorkers } from './worker.ts';

/** Workers are born together, and would all be too old together: each draws its age from the last tenth. */
const LIFETIME_JITTER = 0.1;
/** Bytes. A worker that has grown by less than this since its birth has a successor that is no smaller. */
const LEAST_GROWTH = 16 * 2 ** 20;
/** That memory is short is a warning once in this time. */
const SAY_SHORT_MS = 60_000;

/** What a worker says of itself. */
export interface Wear {
  /** Requests answered since its birth. */
  readonly served: number;
  readonly rssBytes: number;
}

/** What a worker says that lets new requests wait. */
export interface Short {
  readonly rssBytes: number;
  /** In its own heap, and not in the group. */
  readonly heap: boolean;
}

interface Life {
  readonly maxRequests: number;
  readonly endsAt: number;
  served: number;
}

export class Recycling {
  readonly #settings: PoolSettings;
  readonly #members: PoolWorkers;
  readonly #random: () => number;
  readonly #lives = new WeakMap<PoolWorker, Life>();
  readonly #sizes: ResidentSizes;
  /** Who said so since `due` was called. */
  #short: { readonly by: PoolWorker; readonly heap: boolean } | undefined;
  #saidShortAt = Number.NEGATIVE_INFINITY;

  /** @param random gives 0 to 1, as Math.random does */
  constructor(settings: PoolSettings, members: PoolWorkers, random: () => number) {
    this.#settings = settings;
    this.#members = members;
    this.#random = random;
    this.#sizes = new ResidentSizes(settings.maxRss);
  }

  /** Sizing decided on another limit. */
  limitRss(bytes: number | undefined): void {
    this.#sizes.limit(bytes);
  }

  report(member: PoolWorker, { served, rssBytes }: Wear): void {
    if (member.state === 'booting') return;
    this.#lifeOf(member).served = served;
    this.#sizes.report(member, rssBytes);
  }

  /** There is no memory for further requests. */
  full(member: PoolWorker, { rssBytes, heap }: Short): void {
    if (member.state === 'booting') return;
    this.#sizes.measured(member, rssBytes);
    if (!this.#short?.heap) this.#short = { by: member, heap };
  }

  due(now: number, out: Decision[]): void {
    this.#relieve(now, out);
    for (const m of this.#members.alive('ready')) {
      const verdict = m.killed ? undefined : this.#judge(m, now, out);
      if (!verdict) continue;
      Object.assign(m, { state: 'leaving', reason: verdict.reason });
      out.push({ do: 'recycle', workerId: m.workerId, why: verdict.why, soon: verdict.soon ?? false });
    }
  }

  /** One at a time: while a worker makes room those that wait say so again. */
  #relieve(now: number, out: Decision[]): void {
    const short = this.#short;
    this.#short = undefined;
    if (!short || this.#members.alive('booting', 'leaving', 'draining').length > 0) return;
    const what = short.heap ? 'its JavaScript heap is nearly full' : 'the memory limit is nearly reached';
    const sizes = this.#sizes;
    const [largest] = this.#members
      .alive('ready')
      .filter((m) => !m.killed && (!short.heap || m === short.by))
      .filter((m) => sizes.growthOf(m) >= LEAST_GROWTH)
      .toSorted((a, b) => sizes.of(b) - sizes.of(a));
    const quiet = now - this.#saidShortAt < SAY_SHORT_MS;
    if (!quiet) this.#saidShortAt = now;
    if (!largest) {
      const why = `memory is short, but no worker has grown since its start: they are not replaced for that. ${MEND_SHORT}`;
      out.push({ do: 'release-holds' });
      if (!quiet) out.push({ do: 'warn', why });
      return;
    }
    const why = `it has ${mib(sizes.of(largest))} of memory, and ${what}, so new requests wait`;
    Object.assign(largest, { state: 'leaving', reason: 'rss' });
    out.push({ do: 'recycle', workerId: largest.workerId, why: quiet ? why : `${why}. ${MEND_SHORT}`, soon: !quiet });
  }

  nextDeadline(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const m of this.#members.alive('ready')) if (!m.killed) next = Math.min(next, this.#lifeOf(m).endsAt);
    return next;
  }

  #judge(m: PoolWorker, now: number, out: Decision[]): Verdict | undefined {
    const life = this.#lifeOf(m);
    if (life.served >= life.maxRequests) {
      return { reason: 'max_requests', why: `it has answered ${life.served} requests (TSUNICORN_MAX_REQUESTS)` };
    }
    if (now >= life.endsAt) {
      const seconds = Math.round((now - m.startedAt) / 1000);
      return { reason: 'lifetime', why: `it is ${seconds} s old (TSUNICORN_MAX_WORKER_LIFETIME)` };
    }
    return this.#sizes.judge(m, now, out);
  }

  #lifeOf(member: PoolWorker): Life {
    let life = this.#lives.get(member);
    if (!life) {
      const { maxRequests, maxRequestsJitter, maxWorkerLifetime } = this.#settings;
      const jitter = Math.floor(this.#random() * (maxRequestsJitter + 1));
      const share = 1 - LIFETIME_JITTER * this.#random();
      life = {
        maxRequests: maxRequests === 0 ? Number.POSITIVE_INFINITY : maxRequests + jitter,
        endsAt:
          maxWorkerLifetime === 'off' ? Number.POSITIVE_INFINITY : member.startedAt + maxWorkerLifetime * 1000 * share,
        served: 0,
      };
      this.#lives.set(member, life);
    }
    return life;
  }
}

const MEND_SHORT = 'Look for a leak, raise the memory limit, or lower TSUNICORN_WORKERS';
