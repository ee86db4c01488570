/**
 * How large workers are, and which is too large: above the limit, and still when it has cleared up. Pure; times in
 * milliseconds, sizes in bytes.
 */
import type { Decision, RestartReason } from './decisions.ts';
import type { PoolWorker } from './worker.ts';

/** So many reports in a row, one a second: V8 may be about to collect its garbage by itself. */
const REPORTS = 3;
/** A worker that gets too large sooner is not recycled before this age, or the server would do nothing but boot. */
const MIN_AGE_MS = 10_000;
/** Who is too large as soon as this has likely a limit that is too low. */
const SOON_MS = 60_000;
/** Of the limit: to clear up has to bring a worker below this, or it would have to do so again and again. */
const CLEAN_SHARE = 0.9;
/** To clear up takes time in which a worker does not answer: not two at once. */
const CLEAR_UP_GAP_MS = 1_000;
const MIB = 2 ** 20;

interface Size {
  /** In the first report after it was ready. */
  readonly bornWith: number;
  bytes: number;
  /** Reports in a row above the limit. */
  above: number;
  clearsUp: boolean;
}

export interface Verdict {
  readonly reason: RestartReason;
  readonly why: string;
  /** Sooner than can be meant. */
  readonly soon?: boolean;
}

export class ResidentSizes {
  readonly #sizes = new WeakMap<PoolWorker, Size>();
  #max: number | undefined;
  /** The release of which it was said that the limit is below what a worker of it needs at least. */
  #saidTooLowFor: number | undefined;
  #clearedUpAt = Number.NEGATIVE_INFINITY;

  /** @param max undefined is no limit */
  constructor(max: number | undefined) {
    this.#max = max;
  }

  limit(max: number | undefined): void {
    if (max === this.#max) return;
    this.#max = max;
    this.#saidTooLowFor = undefined;
  }

  /** What the worker has at this moment. */
  measured(member: PoolWorker, bytes: number): Size {
    const size = this.#sizes.get(member) ?? { bornWith: bytes, bytes, above: 0, clearsUp: false };
    size.bytes = bytes;
    this.#sizes.set(member, size);
    return size;
  }

  /** The same, once a second. */
  report(member: PoolWorker, bytes: number): void {
    const size = this.measured(member, bytes);
    const max = this.#max ?? Number.POSITIVE_INFINITY;
    if (bytes > (size.clearsUp ? CLEAN_SHARE * max : max)) size.above++;
    else Object.assign(size, { above: 0, clearsUp: false });
  }

  of(member: PoolWorker): number {
    return this.#sizes.get(member)?.bytes ?? 0;
  }

  /** Since its birth. */
  growthOf(member: PoolWorker): number {
    const size = this.#sizes.get(member);
    return size ? size.bytes - size.bornWith : 0;
  }

  judge(member: PoolWorker, now: number, out: Decision[]): Verdict | undefined {
    const size = this.#sizes.get(member);
    const max = this.#max;
    if (max === undefined || size === undefined || size.above < REPORTS) return undefined;
    if (size.bornWith > max) {
      // Its successor would be no smaller.
      const why = `a worker has ${mib(size.bornWith)} right after its start, above ${mib(max)} (TSUNICORN_MAX_WORKER_RSS): such a worker is not recycled for its size. ${MEND}`;
      if (this.#saidTooLowFor !== member.generation) out.push({ do: 'warn', why });
      this.#saidTooLowFor = member.generation;
      return undefined;
    }
    const age = now - member.startedAt;
    if (age < MIN_AGE_MS) return undefined;
    if (!size.clearsUp) {
      if (now - this.#clearedUpAt < CLEAR_UP_GAP_MS) return undefined;
      this.#clearedUpAt = now;
      Object.assign(size, { above: 0, clearsUp: true });
      out.push({ do: 'collect-garbage', workerId: member.workerId });
      return undefined;
    }
    const why = `it has ${mib(size.bytes)} of memory, its garbage collected, and the most is ${mib(max)} (TSUNICORN_MAX_WORKER_RSS)`;
    if (age >= SOON_MS) return { reason: 'rss', why };
    return { reason: 'rss', why: `${why} after ${Math.round(age / 1000)} s. ${MEND}`, soon: true };
  }
}

const MEND = 'Raise TSUNICORN_MAX_WORKER_RSS or the memory limit, or lower TSUNICORN_WORKERS';

/** As the settings take it. */
export const mib = (bytes: number): string => `${Math.round(bytes / MIB)}MiB`;
