/** Who accepts for a slot whose worker is missing or stuck: the arbiter holds its socket open. Pure; milliseconds. */
import type { Decision } from './decisions.ts';
import type { PoolWorker } from './worker.ts';

/** A neighbour confirms within 2 ms, or is stuck, or has no free descriptor: the kernel drops ours (unix(7), SCM_RIGHTS). */
const CONFIRM_MS = 1_000;

/** Three missed heartbeats. A busy worker misses one or two; an unnecessary takeover costs nothing, as both accept. */
export const SILENT_MS = 3_000;

type Serving = Pick<PoolWorker, 'workerId' | 'slot' | 'lastHeartbeat'>;

export class Failover {
  readonly #decisions: Decision[];
  /** Slots on which a worker has listened. */
  readonly #open = new Set<number>();
  /** By slot; `confirmBy` is Infinity once the worker has confirmed. */
  readonly #takeovers = new Map<number, { readonly workerId: number; confirmBy: number }>();

  constructor(decisions: Decision[]) {
    this.#decisions = decisions;
  }

  opened(slot: number): void {
    this.#open.add(slot);
  }

  confirmed(workerId: number, slot: number): void {
    const takeover = this.#takeovers.get(slot);
    if (takeover?.workerId === workerId) takeover.confirmBy = Number.POSITIVE_INFINITY;
  }

  gone(workerId: number): void {
    for (const [slot, takeover] of this.#takeovers) if (takeover.workerId === workerId) this.#takeovers.delete(slot);
  }

  /** While any worker serves, each open slot has one responsive worker that accepts, and no second one for long. */
  arrange(serving: readonly Serving[], now: number): void {
    if (serving.length === 0) return this.#takeovers.clear();
    const responsive = serving.filter((w) => !silent(w, now));
    for (const slot of this.#open) {
      const takeover = this.#takeovers.get(slot);
      if (responsive.some((w) => w.slot === slot)) {
        if (takeover) this.#handBack(slot, takeover.workerId);
        continue;
      }
      // If all are silent any may recover, so any will do, unless the slot has a worker of its own.
      const fit = responsive.length > 0 || serving.some((w) => w.slot === slot) ? responsive : serving;
      const holds = fit.some((w) => w.workerId === takeover?.workerId);
      if (takeover && holds && now < takeover.confirmBy) continue;
      const others = fit.filter((w) => w.workerId !== takeover?.workerId);
      const [next] = (others.length > 0 ? others : fit).toSorted((a, b) => this.#burden(a) - this.#burden(b));
      if (!next) continue;
      const { workerId } = next;
      // The previous worker may still receive the descriptor.
      const lives = serving.some((w) => w.workerId === takeover?.workerId);
      if (takeover && lives && takeover.workerId !== workerId) this.#handBack(slot, takeover.workerId);
      this.#takeovers.set(slot, { workerId, confirmBy: now + CONFIRM_MS });
      this.#decisions.push({ do: 'take-over', workerId, slot });
    }
  }

  nextDeadline(serving: readonly Serving[], now: number): number {
    const confirmBy = [...this.#takeovers.values()].map((takeover) => takeover.confirmBy);
    const silentAt = serving.length > 1 ? serving.map((w) => w.lastHeartbeat + SILENT_MS) : [];
    // Past ones do not count: no other worker could take over then.
    return Math.min(...[...confirmBy, ...silentAt].filter((at) => at > now));
  }

  #handBack(slot: number, workerId: number): void {
    this.#takeovers.delete(slot);
    this.#decisions.push({ do: 'hand-back', workerId, slot });
  }

  #burden({ workerId }: Serving): number {
    return [...this.#takeovers.values()].filter((takeover) => takeover.workerId === workerId).length;
  }
}

export function silent({ lastHeartbeat }: Pick<Serving, 'lastHeartbeat'>, now: number): boolean {
  return now - lastHeartbeat >= SILENT_MS;
}
