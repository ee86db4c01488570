/**
 * Who accepts on the sockets of a slot that has no worker of its own for the moment. A slot's socket, once listened on,
 * stays in the kernel's SO_REUSEPORT group for as long as the arbiter holds it, so connections go on arriving there.
 * Pure; times in milliseconds.
 */
import type { Decision } from './decisions.ts';

/**
 * A neighbour says that it accepts within a millisecond or two. Who has not after this time is stuck, or had no free
 * descriptor: the kernel drops the one that was sent (unix(7), SCM_RIGHTS), and Node.js tells nobody.
 */
const CONFIRM_MS = 1_000;

interface Serving {
  readonly age: number;
  readonly slot: number;
}

interface Cover {
  readonly age: number;
  /** When it has to have said that it accepts; Infinity once it has. */
  confirmBy: number;
}

export class Covers {
  /** Slots that have been listened on. */
  readonly #open = new Set<number>();
  /** By slot. */
  readonly #by = new Map<number, Cover>();

  opened(slot: number): void {
    this.#open.add(slot);
  }

  /** The neighbour accepts on the sockets of this slot. */
  confirmed(age: number, slot: number): void {
    const cover = this.#by.get(slot);
    if (cover?.age === age) cover.confirmBy = Number.POSITIVE_INFINITY;
  }

  /** A worker is gone, and with it whatever it covered. */
  gone(age: number): void {
    for (const [slot, by] of this.#by) if (by.age === age) this.#by.delete(slot);
  }

  /** Sees to it that every open slot has an acceptor, and not two for long, as long as anybody serves. */
  arrange(serving: readonly Serving[], now: number, out: Decision[]): void {
    if (serving.length === 0) return this.#by.clear();
    for (const slot of this.#open) {
      const by = this.#by.get(slot);
      if (serving.some((w) => w.slot === slot)) {
        if (by === undefined) continue;
        this.#by.delete(slot);
        out.push({ do: 'uncover', age: by.age, slot });
        continue;
      }
      const serves = serving.some((w) => w.age === by?.age);
      if (by === undefined || !serves || now >= by.confirmBy) {
        const others = serving.filter((w) => w.age !== by?.age);
        const neighbour = this.#leastBurdened(others.length > 0 ? others : serving);
        if (!neighbour) continue;
        // It may come to it later.
        if (by && serves && by.age !== neighbour.age) out.push({ do: 'uncover', age: by.age, slot });
        this.#by.set(slot, { age: neighbour.age, confirmBy: now + CONFIRM_MS });
        out.push({ do: 'cover', age: neighbour.age, slot });
      }
    }
  }

  /** When the next neighbour has to have confirmed. */
  get nextDeadline(): number {
    return Math.min(...[...this.#by.values()].map((by) => by.confirmBy));
  }

  #leastBurdened(serving: readonly Serving[]): Serving | undefined {
    const burden = (w: Serving) => [...this.#by.values()].filter((by) => by.age === w.age).length;
    return serving.toSorted((a, b) => burden(a) - burden(b))[0];
  }
}
