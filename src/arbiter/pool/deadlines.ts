/**
 * By when a worker must be ready, send a heartbeat, or have drained; those who are late are killed. Time in which a
 * worker could not run does not count. Pure; times in milliseconds.
 */
import type { RestartReason } from './decisions.ts';
import type { PoolContext, PoolWorker } from './worker.ts';

/** A longer gap between two calls of `due` means that the arbiter was suspended or starved: it ticks every second. */
const STARVED_MS = 2_000;

/** A draining worker without a heartbeat for this long, two of them, is stuck; otherwise it waits for a request. */
const STUCK_MS = 2_000;

/** For how long since its last heartbeat a worker got no CPU: its quota was used up, or others had it. */
export type WaitedMs = (workerId: number) => number;

interface Deadline {
  readonly at: number;
  readonly why: string;
  readonly reason?: RestartReason;
}

export class Deadlines {
  readonly #context: PoolContext;
  #lastDue: number | undefined;

  constructor(context: PoolContext) {
    this.#context = context;
  }

  next(): number {
    return Math.min(...[...this.#context.workers].filter((w) => !w.killed).map((w) => this.#of(w).at));
  }

  /**
   * The gap in the arbiter's own time goes to every worker, and first: only those who would still be late are asked how
   * long they waited for a CPU.
   * @param drainBy no drain is extended beyond this: the deadline of a stop is the orchestrator's
   */
  extend(now: number, drainBy: number, waitedMs: WaitedMs): void {
    this.#extendByStarvation(now, drainBy);
    for (const w of this.#context.workers) {
      const { at, reason } = this.#of(w);
      if (!w.killed && now >= at && (reason === 'stall' || reason === 'boot')) {
        w.extendDeadline(waitedMs(w.workerId), now);
      }
    }
  }

  killLate(now: number): void {
    for (const w of this.#context.workers) {
      const { at, why, reason } = this.#of(w);
      if (now < at) continue;
      const stuck = w.state !== 'draining' || reason === 'stall' || now - w.lastBeat > STUCK_MS;
      w.kill(why, { reason, stuck });
    }
  }

  #extendByStarvation(now: number, drainBy: number): void {
    const gap = now - (this.#lastDue ?? now);
    this.#lastDue = now;
    if (gap <= STARVED_MS) return;
    for (const w of this.#context.workers) {
      w.extendDeadline(gap, now);
      w.extendDrain(gap, drainBy);
    }
  }

  #of(w: PoolWorker): Deadline {
    const { bootTimeout, timeout } = this.#context.settings;
    if (w.state === 'booting') return { at: w.bootBy, why: lateBoot(bootTimeout, w.waitingFor), reason: 'boot' };
    const drained: Deadline = { at: w.killAt, why: 'still draining at its deadline' };
    const why = `silent for ${timeout} s (TSUNICORN_TIMEOUT)`;
    const stalled: Deadline = { at: w.lastBeat + timeout * 1000, why, reason: 'stall' };
    return timeout === 0 || drained.at <= stalled.at ? drained : stalled;
  }
}

/** `tsunicorn check` says the same. */
export function lateBoot(seconds: number, waitingFor: string | undefined): string {
  const cause = waitingFor === undefined ? '' : `: ${waitingFor} has not settled`;
  return `not ready within ${seconds} s (TSUNICORN_BOOT_TIMEOUT)${cause}`;
}
