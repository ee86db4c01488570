/**
 * Who accepts on the sockets of a slot that has no worker of its own for the moment. A slot's socket, once listened on,
 * stays in the kernel's SO_REUSEPORT group for as long as the arbiter holds it, so connections go on arriving there.
 */
import type { Decision } from './decisions.ts';

interface Serving {
  readonly age: number;
  readonly slot: number;
}

export class Covers {
  /** Slots that have been listened on. */
  readonly #open = new Set<number>();
  /** slot → age of the neighbour. */
  readonly #by = new Map<number, number>();

  opened(slot: number): void {
    this.#open.add(slot);
  }

  /** A worker is gone, and with it whatever it covered. */
  gone(age: number): void {
    for (const [slot, by] of this.#by) if (by === age) this.#by.delete(slot);
  }

  /** Sees to it that every open slot has exactly one acceptor, as long as anybody serves. */
  arrange(serving: readonly Serving[], out: Decision[]): void {
    for (const slot of this.#open) {
      const by = this.#by.get(slot);
      if (serving.some((w) => w.slot === slot)) {
        if (by === undefined) continue;
        this.#by.delete(slot);
        out.push({ do: 'uncover', age: by, slot });
      } else if (!serving.some((w) => w.age === by)) {
        const neighbour = this.#leastBurdened(serving);
        if (!neighbour) return;
        this.#by.set(slot, neighbour.age);
        out.push({ do: 'cover', age: neighbour.age, slot });
      }
    }
  }

  #leastBurdened(serving: readonly Serving[]): Serving | undefined {
    const burden = (w: Serving) => [...this.#by.values()].filter((age) => age === w.age).length;
    return serving.toSorted((a, b) => burden(a) - burden(b))[0];
  }
}
