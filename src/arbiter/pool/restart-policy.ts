/**
 * Remembers how workers ended, to decide when the next may be tried and when to give up. Pure; times in milliseconds.
 */

/** The first retry comes after this; each further one after twice as long. */
const FIRST_BACKOFF_MS = 100;
/** The longest wait between two tries: a database that is back after a minute finds the app back soon after. */
const LONGEST_BACKOFF_MS = 10_000;
/** Deaths after readiness count for a minute, and so many times the crash limit of them end the server. */
const WINDOW_MS = 60_000;
const DEATHS_PER_LIMIT = 5;

/**
 * A worker that dies sooner than this after it was ready died young. What is wrong from the start shows in the first
 * timers, connections and requests; and one that lives longer serves most of the time, as a boot takes a fraction of a
 * second, so that to wait before the next would cost more than it spares.
 */
export const PROBATION_MS = 5_000;

export interface Death {
  readonly workerId: number;
  readonly slot: number;
  readonly young: boolean;
  /** No worker served that had proven itself. */
  readonly alone: boolean;
  readonly why: string;
}

export class RestartPolicy {
  /** Deaths of ready workers that end the server, within a minute or with nobody else who serves. */
  readonly limit: number;
  readonly #bootLimit: number;
  #bootFailures = 0;
  #retryAt = Number.NEGATIVE_INFINITY;
  #deaths: number[] = [];
  #lastWhy = '';
  /** Of slots whose last worker died young, until one of them has proven itself: whose workerId that was, the next try. */
  readonly #young = new Map<number, { readonly workerId: number; readonly retryAt: number }>();
  #row = 0;
  /** How many of the row, up to the last, left nobody who serves. */
  #rowAlone = 0;
  #replaceAt = Number.NEGATIVE_INFINITY;

  constructor(crashLimit: number) {
    this.#bootLimit = crashLimit;
    this.limit = crashLimit * DEATHS_PER_LIMIT;
  }

  failedToBoot(now: number): void {
    this.#bootFailures++;
    this.#retryAt = now + backoff(this.#bootFailures);
  }

  booted(): void {
    this.#bootFailures = 0;
  }

  died({ workerId, slot, young, alone, why }: Death, now: number): void {
    this.#deaths.push(now);
    this.#lastWhy = why;
    if (!young) return;
    this.#row++;
    this.#rowAlone = alone ? this.#rowAlone + 1 : 0;
    // The first is made good at once, like any crash.
    this.#replaceAt = now + (this.#row === 1 ? 0 : backoff(this.#row - 1));
    this.#young.set(slot, { workerId, retryAt: this.#replaceAt });
  }

  /** The worker of this workerId has lived for its probation in this slot. */
  proved(slot: number, workerId: number): void {
    this.#rowAlone = 0;
    if (workerId > (this.#young.get(slot)?.workerId ?? workerId)) this.settled(slot);
  }

  /** The slot needs no other worker. */
  settled(slot: number): void {
    if (!this.#young.delete(slot) || this.#young.size > 0) return;
    this.#row = 0;
    this.#replaceAt = Number.NEGATIVE_INFINITY;
  }

  /** There are no slots from this one on. */
  cut(target: number): void {
    for (const slot of [...this.#young.keys()]) if (slot >= target) this.settled(slot);
  }

  /** A person asked for a new try: what was before no longer counts. */
  forgive(): void {
    this.#bootFailures = 0;
    this.#retryAt = Number.NEGATIVE_INFINITY;
    this.#deaths = [];
    this.#rowAlone = 0;
    for (const slot of [...this.#young.keys()]) this.settled(slot);
  }

  /** When a worker may be tried at all. */
  get retryAt(): number {
    return this.#bootFailures === 0 ? Number.NEGATIVE_INFINITY : this.#retryAt;
  }

  /** When a worker may be tried in this slot, where nobody serves. */
  slotRetryAt(slot: number): number {
    return Math.max(this.retryAt, this.#young.get(slot)?.retryAt ?? this.retryAt);
  }

  /** When a worker may be tried in place of one that serves. */
  get replaceAt(): number {
    return Math.max(this.retryAt, this.#replaceAt);
  }

  /** The next of all these times; Infinity where there is none. */
  nextRetry(now: number): number {
    const times = [this.retryAt, ...[...this.#young.values()].map(({ retryAt }) => retryAt)];
    return Math.min(...times.filter((at) => at > now));
  }

  /** Young deaths in a row: since each slot of one had a worker that has proven itself, or since `forgive`. */
  get youngInARow(): number {
    return this.#row;
  }

  get bootLimitReached(): boolean {
    return this.#bootFailures >= this.#bootLimit;
  }

  /** Why the server is to be given up, where it is. */
  verdict(now: number): string | undefined {
    this.#deaths = this.#deaths.filter((at) => now - at < WINDOW_MS);
    const last = `the last: ${this.#lastWhy}`;
    if (this.#deaths.length >= this.limit) return `${this.limit} workers died within a minute, ${last}`;
    // The waits between them make it longer than a minute.
    if (this.#rowAlone >= this.limit) return `${this.limit} workers in a row ${DIED_YOUNG}, ${last}`;
    return undefined;
  }
}

export const DIED_YOUNG = `died within ${PROBATION_MS / 1000} s of being ready`;

/** How long to wait after the `n`th failure in a row. */
function backoff(n: number): number {
  // The exponent is bounded too: 2 ** 1024 is Infinity.
  return Math.min(FIRST_BACKOFF_MS * 2 ** Math.min(n - 1, 20), LONGEST_BACKOFF_MS);
}
