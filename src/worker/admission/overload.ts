/** Tells whether the event loop is so late that new requests had better be refused (`TSUNICORN_MAX_EVENT_LOOP_LAG`). */

/** Short against any limit that makes sense, and no load: it runs only where there is a limit. */
const INTERVAL_MS = 100;

export class Overload {
  readonly #limitMs: number;
  readonly #now: () => number;
  #due: number;
  /** How late the timer was the last time. */
  #lag = 0;

  /** @param now a monotonic clock in milliseconds */
  constructor(limitMs: number, now = (): number => performance.now()) {
    this.#limitMs = limitMs;
    this.#now = now;
    this.#due = now() + INTERVAL_MS;
  }

  /** Starts to watch. Returns what ends it. */
  start(): () => void {
    const timer = setInterval(() => this.tick(), INTERVAL_MS).unref();
    return () => clearInterval(timer);
  }

  /** The timer fired. */
  tick(): void {
    const now = this.#now();
    this.#lag = Math.max(0, now - this.#due);
    this.#due = now + INTERVAL_MS;
  }

  /**
   * By what is known at this very moment: within one long turn of the loop the timer cannot fire, but it is overdue, so
   * of the requests that wait in that turn only as many are taken on as fit the limit.
   */
  get exceeded(): boolean {
    return this.#lag > this.#limitMs || this.#now() - this.#due > this.#limitMs;
  }
}
