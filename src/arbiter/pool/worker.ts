/** The workers as the pool knows them, and the two ways in which it parts from one. Times in milliseconds. */
import type { Decision, RestartReason, WorkerState, WorkerView } from './decisions.ts';

export interface PoolWorker extends WorkerView {
  generation: number;
  state: WorkerState;
  reason: RestartReason | undefined;
  /** Infinity while it boots. */
  readyAt: number;
  /** It has lived for its probation. */
  proven: boolean;
  /** Its death is counted. */
  mourned: boolean;
  /** Its slot was not wanted any more. */
  culled: boolean;
  lastBeat: number;
  bootBy: number;
  /** What its boot said it waits for. */
  waitingFor: string | undefined;
  killAt: number;
  killed: boolean;
  killedFor: string | undefined;
}

export class PoolWorkers {
  readonly #all = new Map<number, PoolWorker>();
  #nextAge = 1;

  get size(): number {
    return this.#all.size;
  }

  get(workerId: number): PoolWorker | undefined {
    return this.#all.get(workerId);
  }

  delete(workerId: number): void {
    this.#all.delete(workerId);
  }

  [Symbol.iterator](): IterableIterator<PoolWorker> {
    return this.#all.values();
  }

  alive(...states: WorkerState[]): PoolWorker[] {
    return [...this].filter((m) => states.includes(m.state));
  }

  /** Workers that accept: ready ones, and those that wait for their replacement. */
  serving(): PoolWorker[] {
    return this.alive('ready', 'leaving').filter((m) => !m.killed);
  }

  spawn(at: { slot: number; generation: number; now: number; bootBy: number }, out: Decision[]): void {
    const { slot, generation, now, bootBy } = at;
    const workerId = this.#nextAge++;
    this.#all.set(workerId, {
      workerId,
      slot,
      generation,
      state: 'booting',
      reason: undefined,
      startedAt: now,
      readyAt: Number.POSITIVE_INFINITY,
      proven: false,
      mourned: false,
      culled: false,
      lastBeat: now,
      bootBy,
      killAt: Number.POSITIVE_INFINITY,
      killed: false,
      waitingFor: undefined,
      killedFor: undefined,
    });
    out.push({ do: 'spawn', workerId, slot });
  }
}

export interface DrainHow {
  readonly why: string;
  readonly quick: boolean;
  readonly sweep: boolean;
  readonly killAt: number;
}

export function drain(m: PoolWorker, { why, quick, sweep, killAt }: DrainHow, out: Decision[]): void {
  m.state = 'draining';
  m.killAt = killAt;
  out.push({ do: 'drain', workerId: m.workerId, quick, sweep, why, by: killAt });
}

/** For a worker that is not wanted any more, which is nobody's fault; see {@link Deadlines.killLate} for the others. */
export function kill(m: PoolWorker, why: string, out: Decision[]): void {
  if (m.killed) return;
  m.killed = true;
  out.push({ do: 'kill', workerId: m.workerId, why, stuck: false });
}
