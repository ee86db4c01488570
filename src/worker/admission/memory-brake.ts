/** The brake of a worker with what it looks at: the group whose limit counts, and its own JavaScript heap. */
import type { MemoryGroup } from '../../platform/kernel/memory.ts';
import { fileReader } from '../../platform/kernel/read-file.ts';
import type { Native } from '../../platform/native/native.ts';
import { Brake, type BrakeEvents } from './memory.ts';
import { type Gauge, groupGauge, type Heap, heapGauge, ownHeap } from './memory-gauges.ts';

export interface MemoryBrakeOptions extends Pick<BrakeEvents, 'connections' | 'hold'> {
  /** Of the old space, where that is known. */
  readonly heapLimitBytes: number | undefined;
  readonly native: Native | undefined;
  /** The arbiter is to know that new requests wait. `heap`: in this worker's heap there is no room, and not in the group. */
  readonly full: (heap: boolean) => void;
}

export class MemoryBrake {
  readonly brake: Brake;
  readonly #heap: Heap;
  /** What it found by collecting goes on to count where another limit is watched. */
  readonly #heapGauge: Gauge | undefined;

  constructor({ heapLimitBytes, native, connections, hold, full }: MemoryBrakeOptions) {
    this.#heap = ownHeap(native);
    if (heapLimitBytes !== undefined) this.#heapGauge = heapGauge(heapLimitBytes, this.#heap);
    this.brake = new Brake({
      now: () => performance.now(),
      connections,
      hold,
      full: (gauge) => full(gauge === this.#heapGauge),
    });
  }

  clearUp(): void {
    this.#heap.collectAll();
    this.#heap.giveBack();
  }

  /** Undefined: no limit, and no more than V8 does about the heap. */
  watch(memory: MemoryGroup | undefined): void {
    if (memory === undefined) return this.brake.watch([]);
    const group = groupGauge(memory, fileReader(), this.#heap);
    this.brake.watch(this.#heapGauge ? [group, this.#heapGauge] : [group]);
  }
}
