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

export class CrashLog {
  /** Deaths of ready workers within a minute that end the server. */
  readonly limit: number;
  readonly #bootLimit: number;
  #bootFailures = 0;
  #retryAt = Number.NEGATIVE_INFINITY;
  #deaths: number[] = [];

  constructor(crashLimit: number) {
    this.#bootLimit = crashLimit;
    this.limit = crashLimit * DEATHS_PER_LIMIT;
  }

  failedToBoot(now: number): void {
    this.#bootFailures++;
    // The exponent is bounded too: 2 ** 1024 is Infinity.
    const backoff = FIRST_BACKOFF_MS * 2 ** Math.min(this.#bootFailures - 1, 20);
    this.#retryAt = now + Math.min(backoff, LONGEST_BACKOFF_MS);
  }

  died(now: number): void {
    this.#deaths.push(now);
  }

  booted(): void {
    this.#bootFailures = 0;
  }

  /** A person asked for a new try: what was before no longer counts. */
  forgive(): void {
    this.#bootFailures = 0;
    this.#retryAt = Number.NEGATIVE_INFINITY;
    this.#deaths = [];
  }

  get retryAt(): number {
    return this.#bootFailures === 0 ? Number.NEGATIVE_INFINITY : this.#retryAt;
  }

  get bootLimitReached(): boolean {
    return this.#bootFailures >= this.#bootLimit;
  }

  limitReached(now: number): boolean {
    this.#deaths = this.#deaths.filter((at) => now - at < WINDOW_MS);
    return this.#deaths.length >= this.limit;
  }
}
