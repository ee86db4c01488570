/**
 * The arbiter's own garbage. Each scrape leaves some in the old generation, which V8 by itself collects only once that has
 * doubled: after hours, and then with 7 MB of resident memory more for good (docs/decisions/0002-memory.md).
 */
import { collectGarbage } from '../platform/gc.ts';

const MIB = 2 ** 20;
const LOOK_MS = 10_000;
/** To collect costs 8 ms of CPU time, the more the more lives: seldom enough to be worth it. */
const WORTH_BYTES = 2 * MIB;
const WORTH_SHARE = 0.25;

export interface Heap {
  /** Bytes, garbage included. */
  usedBytes(): number;
  collect(): void;
}

/** Returns what ends it. */
export function keepTidy(): () => void {
  const { getHeapStatistics } = process.getBuiltinModule('node:v8');
  const tidy = new Tidy({ usedBytes: () => getHeapStatistics().used_heap_size, collect: collectGarbage });
  const timer = setInterval(() => tidy.look(), LOOK_MS);
  return () => clearInterval(timer);
}

export class Tidy {
  readonly #heap: Heap;
  /** At most this much was alive when it was last looked at. */
  #live = Number.POSITIVE_INFINITY;

  constructor(heap: Heap) {
    this.#heap = heap;
  }

  look(): void {
    const used = this.#heap.usedBytes();
    this.#live = Math.min(this.#live, used);
    if (used - this.#live < Math.max(WORTH_BYTES, WORTH_SHARE * this.#live)) return;
    this.#heap.collect();
    this.#live = this.#heap.usedBytes();
  }
}
