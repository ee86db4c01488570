/**
 * Who accepts on the sockets of a slot that has no worker of its own for the moment, or one that is stuck. A slot's
 * socket, once listened on, stays in the kernel's SO_REUSEPORT group for as long as the arbiter holds it, so connections
 * go on arriving there. Pure; times in milliseconds.
 */
import type { Decision } from './decisions.ts';

/**
 * A neighbour says that it accepts within a millisecond or two. Who has not after this time is stuck, or had no free
 * descriptor: the kernel drops the one that was sent (unix(7), SCM_RIGHTS), and Node.js tells nobody.
 */
const CONFIRM_MS = 1_000;

/**
 * A worker that has not been heard of for three beats (they come once a second or more often) has a neighbour accept on
 * its sockets, too, until it is heard of again. One that is only busy misses one or two; what would be killed for less
 * is dead by then. Nothing is lost by a neighbour that was not needed: both accept.
 */
export const SILENT_MS = 3_000;

interface Serving {
  readonly workerId: number;
  readonly slot: number;
  readonly lastBeat: number;
}

interface Cover {
  readonly workerId: number;
  /** When it has to have said that it accepts; Infinity once it has. */
  confirmBy: number;
}

export class Failover {
  /** Slots that have been listened on. */
  readonly #open = new Set<number>();
  /** By slot. */
  readonly #by = new Map<number, Cover>();

  opened(slot: number): void {
    this.#open.add(slot);
  }

  /** The neighbour accepts on the sockets of this slot. */
  confirmed(workerId: number, slot: number): void {
    const cover = this.#by.get(slot);
    if (cover?.workerId === workerId) cover.confirmBy = Number.POSITIVE_INFINITY;
  }

  /** A worker is gone, and with it whatever it covered. */
  gone(workerId: number): void {
    for (const [slot, by] of this.#by) if (by.workerId === workerId) this.#by.delete(slot);
  }

  /** Sees to it that every open slot has an acceptor that turns its loop, and no other for long, as long as anybody serves. */
  arrange(serving: readonly Serving[], now: number, out: Decision[]): void {
    if (serving.length === 0) return this.#by.clear();
    const heard = serving.filter((w) => !silent(w, now));
    for (const slot of this.#open) {
      const by = this.#by.get(slot);
      if (heard.some((w) => w.slot === slot)) {
        if (by === undefined) continue;
        this.#by.delete(slot);
        out.push({ do: 'uncover', workerId: by.workerId, slot });
        continue;
      }
      // Where nobody is heard of, those who are not may yet come to it; unless one of them has the slot already.
      const fit = heard.length > 0 || serving.some((w) => w.slot === slot) ? heard : serving;
      const stays = by !== undefined && fit.some((w) => w.workerId === by.workerId) && now < by.confirmBy;
      if (!stays) this.#pass(slot, fit, serving, now, out);
    }
  }

  /** When the next neighbour has to have confirmed, or the next worker counts as silent. */
  nextDeadline(serving: readonly Serving[], now: number): number {
    const confirmBy = [...this.#by.values()].map((by) => by.confirmBy);
    const silentAt = serving.length > 1 ? serving.map((w) => w.lastBeat + SILENT_MS) : [];
    // One that is over is of no interest any more: nobody was there to take over.
    return Math.min(...[...confirmBy, ...silentAt].filter((at) => at > now));
  }

  /** To another than before, where there is one. */
  #pass(slot: number, fit: readonly Serving[], serving: readonly Serving[], now: number, out: Decision[]): void {
    const by = this.#by.get(slot);
    const others = fit.filter((w) => w.workerId !== by?.workerId);
    const neighbour = this.#leastBurdened(others.length > 0 ? others : fit);
    if (!neighbour) return;
    // It may come to it later.
    if (by && by.workerId !== neighbour.workerId && serving.some((w) => w.workerId === by.workerId)) {
      out.push({ do: 'uncover', workerId: by.workerId, slot });
    }
    this.#by.set(slot, { workerId: neighbour.workerId, confirmBy: now + CONFIRM_MS });
    out.push({ do: 'cover', workerId: neighbour.workerId, slot });
  }

  #leastBurdened(serving: readonly Serving[]): Serving | undefined {
    const burden = (w: Serving) => [...this.#by.values()].filter((by) => by.workerId === w.workerId).length;
    return serving.toSorted((a, b) => burden(a) - burden(b))[0];
  }
}

export function silent({ lastBeat }: Pick<Serving, 'lastBeat'>, now: number): boolean {
  return now - lastBeat >= SILENT_MS;
}
