/** What `/status` tells beyond the metrics: how the last workers ended, and how often each slot was replaced. */
import type { WorkerExitStatus } from '../admin/status.ts';
import type { RestartReason } from './pool/decisions.ts';
import type { WorkerProcess } from './worker-process.ts';

/** More than a worker in each slot of a large machine leaves behind in a rolling reload. */
const KEPT = 24;
/** Characters: with {@link KEPT} stacks at most 100 KB of the arbiter's memory. Deeper frames are the framework's. */
const LONGEST_STACK = 4_000;
const LONGEST_MESSAGE = 500;

export interface End {
  /** Why it had to be replaced; undefined where it was not wanted any more. */
  readonly reason: RestartReason | undefined;
  /** `exit code 1`, `SIGKILL`. */
  readonly how: string;
  /** How long it lived. */
  readonly seconds: number;
  readonly date: Date;
}

export type Ended = Pick<WorkerProcess, 'slot' | 'workerId' | 'pid' | 'lastWords' | 'killedFor' | 'stackAtDeath'>;

export class History {
  readonly #exits: WorkerExitStatus[] = [];
  readonly #restarts = new Map<number, number>();

  ended(worker: Ended, { reason, how, seconds, date }: End): void {
    const { slot, workerId, pid, lastWords, killedFor, stackAtDeath } = worker;
    this.#exits.unshift({
      time: date.toISOString(),
      slot,
      workerId,
      pid: pid ?? null,
      seconds: Math.round(seconds * 1000) / 1000,
      reason: reason ?? null,
      how,
      message: cut(lastWords?.reason ?? killedFor, LONGEST_MESSAGE),
      stack: cut(lastWords?.stack ?? stackAtDeath, LONGEST_STACK),
    });
    this.#exits.length = Math.min(this.#exits.length, KEPT);
    if (reason !== undefined) this.#restarts.set(slot, this.restarts(slot) + 1);
  }

  /** Newest first. */
  get exits(): readonly WorkerExitStatus[] {
    return this.#exits;
  }

  /** Workers of this slot that had to be replaced. */
  restarts(slot: number): number {
    return this.#restarts.get(slot) ?? 0;
  }
}

function cut(text: string | undefined, most: number): string | null {
  if (text === undefined) return null;
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}
