/**
 * By when a worker has to be ready, to be heard from again, to have drained; and the one place that condemns those who
 * are late. Time in which a worker could not run counts against nobody. Pure; times in milliseconds.
 */
import type { Decision, PoolSettings, RestartReason } from './decisions.ts';
import type { PoolWorker, PoolWorkers } from './worker.ts';

/** A gap between two calls of `due` that says the arbiter itself was suspended or starved: it ticks every second. */
const STARVED_MS = 2_000;

/** A worker that drains and has not reported for this long, two heartbeats, is stuck and not waiting. */
const STUCK_MS = 2_000;

/** For how long of its silence the worker of this workerId could not run: its CPU quota was used up, or others had the CPU. */
export type WaitedMs = (workerId: number) => number;

interface Deadline {
  readonly at: number;
  readonly why: string;
  readonly reason: RestartReason | undefined;
}

export class Deadlines {
  readonly #settings: PoolSettings;
  #lastDue: number | undefined;

  constructor(settings: PoolSettings) {
    this.#settings = settings;
  }

  of(m: PoolWorker): Deadline {
    const { bootTimeout, timeout } = this.#settings;
    if (m.state === 'booting') {
      return { at: m.bootBy, why: lateBoot(`${bootTimeout} s after its start`, m.waitingFor), reason: 'boot' };
    }
    const drained: Deadline = {
      at: m.killAt,
      why: 'not finished when its time to drain was over',
      reason: m.reason,
    };
    if (timeout === 0) return drained;
    const stalled: Deadline = { at: m.lastBeat + timeout * 1000, why: `silent for ${timeout} s`, reason: 'stall' };
    return drained.at <= stalled.at ? drained : stalled;
  }

  next(members: PoolWorkers): number {
    let next = Number.POSITIVE_INFINITY;
    for (const m of members) if (!m.killed) next = Math.min(next, this.of(m).at);
    return next;
  }

  /**
   * Excuses those who are about to be condemned for being slow. First for the gap in the arbiter's own time, which has to
   * be known of all: what else excuses somebody would hide that he needs no further excuse.
   */
  excuse(members: PoolWorkers, now: number, waitedMs: WaitedMs): void {
    this.#forgiveStarvation(members, now);
    for (const m of members) {
      const { at, reason } = this.of(m);
      if (m.killed || now < at || (reason !== 'stall' && reason !== 'boot')) continue;
      const ms = waitedMs(m.workerId);
      m.lastBeat = Math.min(m.lastBeat + ms, now);
      m.bootBy += ms;
    }
  }

  /** A machine that was suspended, or an arbiter that got no CPU, murders nobody: the gap is given to every worker. */
  #forgiveStarvation(members: PoolWorkers, now: number): void {
    const before = this.#lastDue ?? now;
    const gap = now - before;
    this.#lastDue = now;
    if (gap <= STARVED_MS) return;
    for (const m of members) {
      m.lastBeat = Math.min(m.lastBeat + gap, now);
      if (m.startedAt <= before) m.bootBy += gap;
      // Of a stop the deadline stands: stopBy is the orchestrator's patience.
      if (m.state === 'draining') m.killAt = Math.min(m.killAt + gap, now + this.#settings.gracefulTimeout * 1000);
    }
  }

  killLate(members: PoolWorkers, now: number, out: Decision[]): void {
    for (const m of members) {
      const deadline = this.of(m);
      if (m.killed || now < deadline.at) continue;
      m.killed = true;
      m.reason = deadline.reason;
      m.killedFor = deadline.why;
      const stuck = m.state !== 'draining' || deadline.reason === 'stall' || now - m.lastBeat > STUCK_MS;
      out.push({ do: 'kill', workerId: m.workerId, why: deadline.why, stuck });
    }
  }
}

/** For a boot that took too long; `tsunicorn check` says the same. */
export function lateBoot(after: string, waitingFor: string | undefined): string {
  return `not ready ${after}${waitingFor === undefined ? '' : `: ${waitingFor} has not settled`}`;
}
