/** Load shedding: whether the event loop is later than `TSUNICORN_MAX_EVENT_LOOP_LAG`, so that new requests get 503. */

/** Short against any sensible limit. It runs only where there is one. */
const INTERVAL_MS = 100;

export class Overload {
  readonly #limitMs: number;
  readonly #now: () => number;
  #due: number;
  /** How late the timer was last time, in milliseconds. */
  #lag = 0;

  /** @param now a monotonic clock in milliseconds */
  constructor(limitMs: number, now = (): number => performance.now()) {
    this.#limitMs = limitMs;
    this.#now = now;
    this.#due = now() + INTERVAL_MS;
  }

  start(): () => void {
    const timer = setInterval(() => this.tick(), INTERVAL_MS).unref();
    return () => clearInterval(timer);
  }

  tick(): void {
    const now = this.#now();
    this.#lag = Math.max(0, now - this.#due);
    this.#due = now + INTERVAL_MS;
  }

  /**
   * Within one long turn of the loop the timer cannot fire, but it is overdue: of the requests that wait in that turn
   * only as many are served as fit the limit.
   */
  get exceeded(): boolean {
    return this.#lag > this.#limitMs || this.#now() - this.#due > this.#limitMs;
  }
}
