/** V8's full garbage collection, at a moment of our choice. The process stands still for it. */
import { MIB } from './bytes.ts';

type Gc = (options?: { readonly type: 'major'; readonly flavor: 'last-resort' }) => void;
let gc: Gc | undefined;

/** Not left on globalThis: some libraries call gc() if they find it. */
function exposeGc(): Gc {
  const v8 = process.getBuiltinModule('node:v8');
  v8.setFlagsFromString('--expose-gc');
  const exposed = process.getBuiltinModule('node:vm').runInNewContext('gc') as Gc;
  v8.setFlagsFromString('--no-expose-gc');
  return exposed;
}

/** One collection. What it frees mostly stays with the process, for seconds or for good. */
export function collectGarbage(): void {
  gc ??= exposeGc();
  gc();
}

/**
 * Collects until nothing more is freed, with compaction, and gives the pages back, as V8 does before it ends a process for
 * want of memory. It takes twice the time (docs/decisions/0010-recycling-and-resizing.md).
 */
export function collectAllGarbage(): void {
  gc ??= exposeGc();
  gc({ type: 'major', flavor: 'last-resort' });
}

/** A collection costs 8 ms of CPU time, more in a larger heap: do it seldom enough to be worth it. */
const WORTH_BYTES = 2 * MIB;
const WORTH_SHARE = 0.25;

const usedHeapBytes = (): number => process.getBuiltinModule('node:v8').getHeapStatistics().used_heap_size;

/**
 * The arbiter's own garbage: each scrape leaves some in the old generation, which V8 collects only once that has doubled,
 * after hours, and then with 7 MB more of resident memory for good (docs/decisions/0002-memory.md). Call the answer now and
 * then: it collects when there is enough garbage. `usedBytes` of the heap, garbage included.
 */
export function garbageWatch(usedBytes = usedHeapBytes, collect = collectGarbage): () => void {
  /** At most this much was alive at the last look. */
  let live = Number.POSITIVE_INFINITY;
  return () => {
    const used = usedBytes();
    live = Math.min(live, used);
    if (used - live < Math.max(WORTH_BYTES, WORTH_SHARE * live)) return;
    collect();
    live = usedBytes();
  };
}
