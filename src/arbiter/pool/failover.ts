/**
 * Who accepts for a slot whose worker is missing, stuck or, by its app's word, not ready: the arbiter holds its socket
 * open. Pure; milliseconds.
 */
import type { Decision } from './decisions.ts';
import type { PoolWorker } from './worker.ts';

/** A neighbour confirms within 2 ms, or is stuck, or has no free descriptor: the kernel drops ours (unix(7), SCM_RIGHTS). */
const CONFIRM_MS = 1_000;

/** Three missed heartbeats. A busy worker misses one or two; an unnecessary takeover costs nothing, as both accept. */
export const SILENT_MS = 3_000;

type Serving = Pick<PoolWorker, 'workerId' | 'slot' | 'lastHeartbeat' | 'appReady'>;

export class Failover {
  readonly #decisions: Decision[];
  /** Slots on which a worker has listened. */
  readonly #open = new Set<number>();
  /** By slot; `confirmBy` is Infinity once the worker has confirmed. */
  readonly #takeovers = new Map<number, { readonly workerId: number; confirmBy: number }>();
  /** Workers that do not accept, not even for their own slot, as their app is not ready; `backBy`: told to accept again. */
  readonly #aside = new Map<number, { backBy: number | undefined }>();

  constructor(decisions: Decision[]) {
    this.#decisions = decisions;
  }

  opened(slot: number): void {
    this.#open.add(slot);
  }

  confirmed(workerId: number, slot: number): void {
    const takeover = this.#takeovers.get(slot);
    if (takeover?.workerId === workerId) takeover.confirmBy = Number.POSITIVE_INFINITY;
    else if (this.#aside.get(workerId)?.backBy !== undefined) this.#aside.delete(workerId);
  }

  gone(workerId: number): void {
    this.#aside.delete(workerId);
    for (const [slot, takeover] of this.#takeovers) if (takeover.workerId === workerId) this.#takeovers.delete(slot);
  }

  /**
   * While any worker serves, each open slot has one responsive worker that accepts, and no second one for long: its own,
   * unless the app there says that it is not ready and a neighbour's is.
   */
  arrange(serving: readonly Serving[], now: number): void {
    if (serving.length === 0) return this.#takeovers.clear();
    const responsive = serving.filter((w) => !silent(w, now));
    const ready = responsive.filter((w) => w.appReady);
    for (const w of responsive.length > 0 ? responsive : serving) this.#bringBack(w, ready.length === 0, now);
    for (const slot of this.#open) {
      const takeover = this.#takeovers.get(slot);
      const accepting = responsive.filter((w) => w.slot === slot && !this.#aside.has(w.workerId));
      const covered = accepting.some((w) => w.appReady) || (accepting.length > 0 && ready.length === 0);
      if (covered && takeover) this.#handBack(slot, takeover.workerId);
      if (!covered) this.#findNeighbour(slot, serving, responsive, ready, now);
      const helper = ready.find((w) => w.workerId === this.#takeovers.get(slot)?.workerId);
      const helped = helper && this.#takeovers.get(slot)?.confirmBy === Number.POSITIVE_INFINITY;
      if (!helped && !accepting.some((w) => w.appReady)) continue;
      for (const w of accepting) if (!w.appReady) this.#putAside(w);
    }
  }

  nextDeadline(serving: readonly Serving[], now: number): number {
    const confirmBy = [...this.#takeovers.values()].map((takeover) => takeover.confirmBy);
    const backBy = [...this.#aside.values()].flatMap((aside) => aside.backBy ?? []);
    const silentAt = serving.length > 1 ? serving.map((w) => w.lastHeartbeat + SILENT_MS) : [];
    // Past ones do not count: no other worker could take over then.
    return Math.min(...[...confirmBy, ...backBy, ...silentAt].filter((at) => at > now));
  }

  #findNeighbour(
    slot: number,
    serving: readonly Serving[],
    responsive: readonly Serving[],
    ready: readonly Serving[],
    now: number,
  ): void {
    const takeover = this.#takeovers.get(slot);
    const isOwn = (w: Serving): boolean => w.slot === slot;
    // If all are silent any may recover, so any will do, unless the slot has a worker of its own.
    const any = responsive.length > 0 || serving.some(isOwn) ? responsive : serving;
    const fit = (ready.length > 0 ? ready : any).filter((w) => !isOwn(w));
    const holds = fit.some((w) => w.workerId === takeover?.workerId);
    if (takeover && holds && now < takeover.confirmBy) return;
    const others = fit.filter((w) => w.workerId !== takeover?.workerId);
    const [next] = (others.length > 0 ? others : fit).toSorted((a, b) => this.#burden(a) - this.#burden(b));
    if (!next) return;
    const { workerId } = next;
    // The previous worker may still receive the descriptor.
    const lives = serving.some((w) => w.workerId === takeover?.workerId);
    if (takeover && lives && takeover.workerId !== workerId) this.#handBack(slot, takeover.workerId);
    this.#takeovers.set(slot, { workerId, confirmBy: now + CONFIRM_MS });
    this.#decisions.push({ do: 'take-over', workerId, slot });
  }

  #putAside({ workerId, slot }: Serving): void {
    this.#aside.set(workerId, { backBy: undefined });
    this.#decisions.push({ do: 'hand-back', workerId, slot });
  }

  /** Its app is ready again, or none is. It stands aside until it confirms that it accepts. */
  #bringBack(worker: Serving, noneIsReady: boolean, now: number): void {
    const { workerId, slot, appReady } = worker;
    const aside = this.#aside.get(workerId);
    if (!aside) return;
    if (appReady || noneIsReady) {
      // A silent one reads it when it recovers.
      if (aside.backBy !== undefined && (now < aside.backBy || silent(worker, now))) return;
      aside.backBy = now + CONFIRM_MS;
      this.#decisions.push({ do: 'take-over', workerId, slot });
    } else if (aside.backBy !== undefined) {
      aside.backBy = undefined; // it may have accepted meanwhile
      this.#decisions.push({ do: 'hand-back', workerId, slot });
    }
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
