/** The flags of `node` for a worker. */
import type { Settings } from '../config/settings.ts';

const HEAP_FLAG = /(^|[\s"'])--max[-_]old[-_]space[-_]size/;
const MIB = 1024 * 1024;

/** The heap limit in bytes that `flags` and the environment's NODE_OPTIONS make; undefined where they have none. */
export function heapLimitOf(flags: readonly string[], nodeOptions = ''): number | undefined {
  const all = `${nodeOptions} ${flags.join(' ')}`;
  const last = [...all.matchAll(/--max[-_]old[-_]space[-_]size[= ](\d+)/g)].at(-1)?.[1];
  return last === undefined ? undefined : Number(last) * MIB;
}

/**
 * The heap limit that sizing decided, then `TSUNICORN_NODE_OPTIONS`, where the last flag wins. `nodeOptions` is the
 * environment's own NODE_OPTIONS: a heap limit there is somebody's decision, which an automatic one leaves alone.
 */
export function nodeFlags(
  settings: Pick<Settings, 'nodeOptions' | 'workerHeap'>,
  heapBytes: number | undefined,
  nodeOptions = '',
): string[] {
  const decided = settings.workerHeap === 'auto' && HEAP_FLAG.test(nodeOptions);
  const heap = heapBytes === undefined || decided ? [] : [`--max-old-space-size=${Math.floor(heapBytes / MIB)}`];
  return [...heap, ...settings.nodeOptions];
}
