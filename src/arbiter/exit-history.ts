/** How the last workers ended, and how often each slot was replaced. */
import type { WorkerExitStatus } from '../admin/status.ts';
import type { WorkerFailure } from '../messages.ts';
import type { RestartReason } from './pool/decisions.ts';
import type { WorkerProcess } from './worker-process.ts';

/** One dead worker. */
export interface WorkerExit
  extends Pick<WorkerProcess, 'slot' | 'workerId' | 'pid'>,
    Pick<WorkerFailure, 'fatal' | 'exit'> {
  /** In one line, with the cause and the fix where they are known: `exit code 1`, `SIGKILL, …`. */
  readonly how: string;
  /** The cgroup, or the worker's JavaScript heap, ran out of memory. */
  readonly cause: 'oom' | 'heap' | undefined;
  /** What the worker said of its failure, else `how`. */
  readonly why: string;
  /** A signal to the whole process group ended it before it had handlers: that says nothing about the app. */
  readonly interrupted: boolean;
  /** What the worker said of its failure, else why the arbiter killed it; and its JavaScript stack then. */
  readonly message: string | undefined;
  readonly stack: string | undefined;
}

/** Exits that `/status` shows: more than a rolling reload of a large machine leaves. */
const KEPT_EXITS = 24;
/** Characters: with {@link KEPT_EXITS} stacks at most 100 KB of the arbiter's memory. Deeper frames are the framework's. */
const LONGEST_STACK = 4_000;
const LONGEST_MESSAGE = 500;

export class ExitHistory {
  readonly #exits: WorkerExitStatus[] = [];
  readonly #restarts = new Map<number, number>();

  /** `reason`: why the worker had to be replaced; undefined where it was not wanted any more. `seconds`: it lived. */
  add(exit: WorkerExit, at: { reason: RestartReason | undefined; seconds: number; date: Date }): void {
    const { slot, workerId, pid, how, message, stack } = exit;
    const { reason } = at;
    this.#exits.unshift({
      time: at.date.toISOString(),
      slot,
      workerId,
      pid: pid ?? null,
      seconds: Math.round(at.seconds * 1000) / 1000,
      reason: reason ?? null,
      how,
      message: cut(message, LONGEST_MESSAGE),
      stack: cut(stack, LONGEST_STACK),
    });
    this.#exits.length = Math.min(this.#exits.length, KEPT_EXITS);
    if (reason !== undefined) this.#restarts.set(slot, this.restarts(slot) + 1);
  }

  get exits(): readonly WorkerExitStatus[] {
    return this.#exits;
  }

  restarts(slot: number): number {
    return this.#restarts.get(slot) ?? 0;
  }
}

function cut(text: string | undefined, most: number): string | null {
  if (text === undefined) return null;
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}
