/** Kills workers that are late, and gives all of them the time in which they could not run. Pure; in milliseconds. */
import type { PoolContext } from './worker.ts';

/** A longer gap between two calls of `due` means that the arbiter was suspended or starved: it ticks every second. */
const STARVED_MS = 2_000;

/** A draining worker without a heartbeat for this long, two of them, is stuck; otherwise it waits for a request. */
const STUCK_MS = 2_000;

/** For how long since its last heartbeat a worker got no CPU: its quota was used up, or others had it. */
export type WaitedMs = (workerId: number) => number;

export class Deadlines {
  readonly #context: PoolContext;
  #lastDue: number | undefined;

  constructor(context: PoolContext) {
    this.#context = context;
  }

  next(): number {
    const { workers, settings } = this.#context;
    return Math.min(...[...workers.values()].filter((w) => !w.killed).map((w) => w.deadline(settings).at));
  }

  /**
   * A gap in the arbiter's own time goes to every worker, and first: only those still late are asked for their CPU wait.
   * @param drainBy no drain is extended beyond this: the deadline of a stop is the orchestrator's
   */
  extend(now: number, drainBy: number, waitedMs: WaitedMs): void {
    const { workers, settings } = this.#context;
    const gap = now - (this.#lastDue ?? now);
    this.#lastDue = now;
    for (const w of workers.values()) {
      if (gap > STARVED_MS) w.extendDeadline(gap, now, drainBy);
      const { at, reason } = w.deadline(settings);
      if (!w.killed && now >= at && reason) w.extendDeadline(waitedMs(w.workerId), now);
    }
  }

  killLate(now: number): void {
    for (const w of this.#context.workers.values()) {
      const { at, why, reason } = w.deadline(this.#context.settings);
      if (now < at) continue;
      const stuck = w.state !== 'draining' || reason === 'stall' || now - w.lastHeartbeat > STUCK_MS;
      w.kill(why, reason, stuck);
    }
  }
}
