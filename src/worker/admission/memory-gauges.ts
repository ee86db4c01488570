/** What the brake looks at: how full the group is, and how full the JavaScript heap of this worker. */
import { collectAllGarbage, collectGarbage } from '../../platform/gc.ts';
import { chargedBytes, type MemoryGroup, neededBytes } from '../../platform/kernel/memory.ts';
import type { ReadFile } from '../../platform/kernel/read-file.ts';
import type { Native } from '../../platform/native/native.ts';

const MIB = 2 ** 20;

export interface Gauge {
  readonly limitBytes: number;
  /** Bytes to be left for those who finish, and for a replacement. */
  readonly reserveBytes: number;
  /** Bytes in use, what could be had back among them. Cheap. Undefined: it cannot be told now. */
  quick(): number | undefined;
  /** The same without what could be had back. Asked where `quick` gives cause; with `most` or more, garbage is collected. */
  exact(quick: number, most: number): number | undefined;
}

/** Of the group's limit, within bounds: what a new worker takes to boot, and the old one to finish. */
const GROUP_RESERVE = 0.125;
const LEAST_GROUP_RESERVE = 32 * MIB;
const MOST_GROUP_RESERVE = 64 * MIB;
/** Of the limit, within bounds: what a worker has to have taken since it collected, so that there can be garbage. */
const GROUP_WORTH_COLLECTING = 1 / 64;
const LEAST_WORTH_COLLECTING = 4 * MIB;
const MOST_WORTH_COLLECTING = 16 * MIB;
/** Buffers may be freed by another thread, which may be late: so many looks give back what has come. */
const LOOKS_TO_GIVE_BACK = 4;

/**
 * Collects when the group seems full: V8 knows nothing of the group and leaves garbage where it is, and malloc(3) keeps
 * what was freed. So a worker that only has not cleared up is told from one that leaks.
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

/** For the requests in hand alone: a successor has a heap of its own. */
const HEAP_RESERVE = 0.15;
/** Of the limit. A heap in which less than this is garbage when it is full fills for good. */
const WORTH_COLLECTING = 0.1;
/** Of the limit. Before it has grown by this since the last collection another would find nothing. */
const WORTH_ANOTHER = 0.05;

/** What the gauges need of V8. */
export interface Heap {
  usedBytes(): number;
  /** With what objects hold outside of it, such as buffers. */
  allBytes(): number;
  collect(): void;
  /** Takes longer, and leaves less to the process. */
  collectAll(): void;
  /** What was freed, to the kernel. */
  giveBack(): void;
}

/**
 * Collects when the heap seems full, which V8 would do a little later. What is left counts with a supplement: it holds
 * before another collection becomes useless.
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

/**
 * Of this process. V8 says of itself how full it is, garbage included, so that to know it has to collect.
 *
 * @param native without it freed memory stays with the process, and is taken for needed
 */
export function ownHeap(native: Pick<Native, 'trimMemory'> | undefined): Heap {
  const v8 = process.getBuiltinModule('node:v8');
  return {
    usedBytes: () => v8.getHeapStatistics().used_heap_size,
    allBytes: () => {
      const { used_heap_size, external_memory } = v8.getHeapStatistics();
      return used_heap_size + external_memory;
    },
    collect: collectGarbage,
    collectAll: collectAllGarbage,
    giveBack: () => native?.trimMemory(),
  };
}
