/**
 * Which worker has served long enough: too many requests, too much memory, too old. It is only marked; it goes on
 * serving until its replacement is ready. Pure; times in milliseconds, sizes in bytes.
 */
import type { Decision, PoolSettings, RestartReason } from './decisions.ts';
import type { Member, Members } from './members.ts';

/** Workers are born together, and would all be too old together: each draws its age from the last tenth. */
const LIFETIME_JITTER = 0.1;
/** So many reports in a row, one a second, before memory counts: the garbage collector may be about to give it back. */
const RSS_REPORTS = 3;
/** A worker that gets too large sooner is not recycled before this age, or the server would do nothing but boot. */
const RSS_MIN_AGE_MS = 10_000;
/** Who is too large as soon as this has likely a limit that is too low. */
const SOON_MS = 60_000;
const MIB = 1024 * 1024;
/** A worker that has grown by less than this since its birth has a successor that is no smaller. */
const LEAST_GROWTH = 16 * MIB;
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
  /** Its size in the first report after it was ready. */
  bornWith: number | undefined;
  rss: number;
  /** Reports in a row above the limit. */
  above: number;
}

type Verdict = { readonly reason: RestartReason; readonly why: string; readonly soon?: boolean };

export class Recycling {
  readonly #settings: PoolSettings;
  readonly #members: Members;
  readonly #random: () => number;
  readonly #lives = new WeakMap<Member, Life>();
  #maxRss: number | undefined;
  /** The limit has turned out to be below what a worker needs at least. */
  #hopeless = false;

  /** Who said so since `due` was called. */
  #short: { readonly by: Member; readonly heap: boolean } | undefined;
  #saidShortAt = Number.NEGATIVE_INFINITY;

  /** @param random gives 0 to 1, as Math.random does */
  constructor(settings: PoolSettings, members: Members, random: () => number) {
    this.#settings = settings;
    this.#members = members;
    this.#random = random;
    this.#maxRss = settings.maxRss;
  }

  /** Sizing decided on another limit. */
  limitRss(bytes: number | undefined): void {
    if (bytes === this.#maxRss) return;
    this.#maxRss = bytes;
    this.#hopeless = false;
  }

  report(member: Member, { served, rssBytes }: Wear): void {
    if (member.state === 'booting') return;
    const life = this.#lifeOf(member);
    life.served = served;
    life.rss = rssBytes;
    life.bornWith ??= rssBytes;
    life.above = this.#maxRss !== undefined && rssBytes > this.#maxRss ? life.above + 1 : 0;
  }

  /** There is no memory for further requests. */
  full(member: Member, { rssBytes, heap }: Short): void {
    if (member.state === 'booting') return;
    const life = this.#lifeOf(member);
    life.rss = rssBytes;
    life.bornWith ??= rssBytes;
    if (!this.#short?.heap) this.#short = { by: member, heap };
  }

  due(now: number, out: Decision[]): void {
    this.#relieve(now, out);
    for (const m of this.#members.alive('ready')) {
      const verdict = m.killed ? undefined : this.#judge(m, now, out);
      if (!verdict) continue;
      Object.assign(m, { state: 'leaving', reason: verdict.reason });
      out.push({ do: 'recycle', age: m.age, why: verdict.why, soon: verdict.soon ?? false });
    }
  }

  /** One at a time: while a worker makes room those that wait say so again. */
  #relieve(now: number, out: Decision[]): void {
    const short = this.#short;
    this.#short = undefined;
    if (!short || this.#members.alive('booting', 'leaving', 'draining').length > 0) return;
    const what = short.heap ? 'its JavaScript heap is nearly full' : 'the memory limit is nearly reached';
    const size = (m: Member): number => this.#lifeOf(m).rss;
    const [largest] = this.#members
      .alive('ready')
      .filter((m) => !m.killed && (!short.heap || m === short.by))
      .filter((m) => size(m) - (this.#lifeOf(m).bornWith ?? 0) >= LEAST_GROWTH)
      .toSorted((a, b) => size(b) - size(a));
    const quiet = now - this.#saidShortAt < SAY_SHORT_MS;
    if (!quiet) this.#saidShortAt = now;
    if (!largest) {
      const why = `memory is short, but no worker has grown since its start: they are not replaced for that. ${MEND_SHORT}`;
      out.push({ do: 'release brakes' });
      if (!quiet) out.push({ do: 'warn', why });
      return;
    }
    const why = `it has ${mib(size(largest))} of memory, and ${what}, so new requests wait`;
    Object.assign(largest, { state: 'leaving', reason: 'rss' });
    out.push({ do: 'recycle', age: largest.age, why: quiet ? why : `${why}. ${MEND_SHORT}`, soon: !quiet });
  }

  nextDeadline(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const m of this.#members.alive('ready')) if (!m.killed) next = Math.min(next, this.#lifeOf(m).endsAt);
    return next;
  }

  #judge(m: Member, now: number, out: Decision[]): Verdict | undefined {
    const life = this.#lifeOf(m);
    if (life.served >= life.maxRequests) {
      return { reason: 'max_requests', why: `it has answered ${life.served} requests (TSUNICORN_MAX_REQUESTS)` };
    }
    if (now >= life.endsAt) {
      const seconds = Math.round((now - m.bornAt) / 1000);
      return { reason: 'lifetime', why: `it is ${seconds} s old (TSUNICORN_MAX_WORKER_LIFETIME)` };
    }
    return this.#judgeSize(m, life, now, out);
  }

  #judgeSize(m: Member, life: Life, now: number, out: Decision[]): Verdict | undefined {
    const max = this.#maxRss;
    if (max === undefined || life.above < RSS_REPORTS || this.#hopeless) return undefined;
    if ((life.bornWith ?? 0) > max) {
      // Its successor would be no smaller.
      this.#hopeless = true;
      const why = `a worker has ${mib(life.bornWith)} right after its start, above ${mib(max)} (TSUNICORN_MAX_WORKER_RSS): workers are not recycled for their size. ${MEND}`;
      out.push({ do: 'warn', why });
      return undefined;
    }
    const age = now - m.bornAt;
    if (age < RSS_MIN_AGE_MS) return undefined;
    const why = `it has ${mib(life.rss)} of memory, above ${mib(max)} (TSUNICORN_MAX_WORKER_RSS)`;
    if (age >= SOON_MS) return { reason: 'rss', why };
    return { reason: 'rss', why: `${why} after ${Math.round(age / 1000)} s. ${MEND}`, soon: true };
  }

  #lifeOf(member: Member): Life {
    let life = this.#lives.get(member);
    if (!life) {
      const { maxRequests, maxRequestsJitter, maxWorkerLifetime } = this.#settings;
      const jitter = Math.floor(this.#random() * (maxRequestsJitter + 1));
      const share = 1 - LIFETIME_JITTER * this.#random();
      life = {
        maxRequests: maxRequests === 0 ? Number.POSITIVE_INFINITY : maxRequests + jitter,
        endsAt:
          maxWorkerLifetime === 'off' ? Number.POSITIVE_INFINITY : member.bornAt + maxWorkerLifetime * 1000 * share,
        served: 0,
        bornWith: undefined,
        rss: 0,
        above: 0,
      };
      this.#lives.set(member, life);
    }
    return life;
  }
}

const MEND = 'Raise TSUNICORN_MAX_WORKER_RSS or the memory limit, or lower TSUNICORN_WORKERS';

const MEND_SHORT = 'Look for a leak, raise the memory limit, or lower TSUNICORN_WORKERS';

const mib = (bytes = 0): string => `${Math.round(bytes / MIB)}MiB`;
