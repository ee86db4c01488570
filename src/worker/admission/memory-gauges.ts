/** What memory admission looks at: how full the memory group is, and how full the JavaScript heap of this worker. */

import { MIB } from '../../platform/bytes.ts';
import { collectAllGarbage, collectGarbage } from '../../platform/gc.ts';
import { chargedBytes, type MemoryGroup, neededBytes } from '../../platform/kernel/memory.ts';
import type { ReadFile } from '../../platform/kernel/read-file.ts';
import type { Native } from '../../platform/native/native.ts';

export interface Gauge {
  readonly limitBytes: number;
  /** Bytes kept for the requests in flight, and for a replacement. */
  readonly reserveBytes: number;
  /** Bytes in use, reclaimable ones included. Cheap. Undefined: unknown at the moment. */
  quick(): number | undefined;
  /** The same without what can be reclaimed. Asked where `quick` gives cause; with `most` or more it collects garbage. */
  exact(quick: number, most: number): number | undefined;
}

/** Of the group's limit, within bounds: what a new worker needs to boot, and the old one to finish. */
const GROUP_RESERVE = 0.125;
const LEAST_GROUP_RESERVE = 32 * MIB;
const MOST_GROUP_RESERVE = 64 * MIB;
/** Of the limit, within bounds: a heap that has grown by less since its last collection has no garbage worth a collection. */
const GROUP_WORTH_COLLECTING = 1 / 64;
const LEAST_WORTH_COLLECTING = 4 * MIB;
const MOST_WORTH_COLLECTING = 16 * MIB;
/** Another thread may free buffers late: so many looks after a collection give memory back. */
const LOOKS_TO_GIVE_BACK = 4;

/**
 * Collects when the group seems full: V8 knows nothing of the group and keeps its garbage, and malloc(3) keeps freed
 * memory. This tells a worker that has not collected yet from one that leaks.
 */
export function groupGauge(
  group: MemoryGroup,
  read: ReadFile,
  heap: Pick<Heap, 'allBytes' | 'collectAll' | 'giveBack'>,
): Gauge {
  const { limitBytes } = group;
  const worth = within(LEAST_WORTH_COLLECTING, GROUP_WORTH_COLLECTING * limitBytes, MOST_WORTH_COLLECTING);
  let kept = 0;
  let toGiveBack = 0;
  return {
    limitBytes,
    reserveBytes: within(LEAST_GROUP_RESERVE, GROUP_RESERVE * limitBytes, MOST_GROUP_RESERVE),
    quick: () => chargedBytes(group, read),
    exact: (charged, most) => {
      const needed = neededBytes(group, charged, read);
      if (needed === undefined || needed < most) return needed;
      if (heap.allBytes() - kept >= worth) {
        heap.collectAll();
        toGiveBack = LOOKS_TO_GIVE_BACK;
      } else if (toGiveBack === 0) return needed;
      toGiveBack--;
      heap.giveBack();
      kept = heap.allBytes();
      return neededBytes(group, chargedBytes(group, read) ?? charged, read);
    },
  };
}

const within = (least: number, value: number, most: number): number => Math.min(most, Math.max(least, value));

/** For the requests in flight alone: a replacement has a heap of its own. */
const HEAP_RESERVE = 0.15;
/** Of the limit. A heap in which less than this is garbage when it is full fills for good. */
const WORTH_COLLECTING = 0.1;
/** Of the limit. Until the heap has grown by this, another collection would find nothing. */
const WORTH_ANOTHER = 0.05;

export type Heap = ReturnType<typeof v8Heap>;

/**
 * V8's count of used bytes includes garbage, so to know what is live means to collect.
 *
 * @param native without it freed memory stays with the process, and counts as needed
 */
export function v8Heap(native: Pick<Native, 'trimMemory'> | undefined) {
  const v8 = process.getBuiltinModule('node:v8');
  return {
    usedBytes: () => v8.getHeapStatistics().used_heap_size,
    /** With memory outside of it that objects hold, such as buffers. */
    allBytes: () => {
      const { used_heap_size, external_memory } = v8.getHeapStatistics();
      return used_heap_size + external_memory;
    },
    collect: collectGarbage,
    collectAll: collectAllGarbage,
    giveBack: (): void => native?.trimMemory(),
  };
}

/**
 * Collects when the heap seems full, which V8 would do a little later. Live bytes count with a supplement, so that
 * requests are held before another collection becomes useless.
 *
 * @param limitBytes of the old space, at which V8 ends the process
 */
export function heapGauge(limitBytes: number, heap: Pick<Heap, 'usedBytes' | 'collect'>): Gauge {
  let live = Number.NEGATIVE_INFINITY;
  return {
    limitBytes,
    reserveBytes: HEAP_RESERVE * limitBytes,
    quick: () => heap.usedBytes(),
    exact: (used) => {
      if (used - live >= WORTH_ANOTHER * limitBytes) {
        heap.collect();
        live = heap.usedBytes();
      }
      return live + WORTH_COLLECTING * limitBytes;
    },
  };
}
