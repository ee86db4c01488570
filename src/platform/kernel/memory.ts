/** The cgroup whose memory limit counts, and how full it is. */
import { dirname, join } from 'node:path/posix';
import type { Limits } from './limits.ts';
import { fieldOf, type ReadFile } from './read-file.ts';

/** What a worker needs to read the group's usage itself. Plain JSON: the arbiter sends it. */
export interface MemoryGroup {
  readonly limitBytes: number;
  readonly usageFile: string;
  readonly statFile: string;
  readonly version: 1 | 2;
}

/** v1 counts child groups only in the `total_` fields (cgroup-v1/memory, "Statistics"); v2 always does. */
const FIELDS = {
  1: { cache: ['total_inactive_file', 'total_active_file'], mapped: 'total_mapped_file' },
  2: { cache: ['inactive_file', 'active_file'], mapped: 'file_mapped' },
} as const;

/** Undefined without a memory limit. */
export function memoryGroup({ memoryBytes, sources }: Limits): MemoryGroup | undefined {
  if (memoryBytes === undefined || sources.memory === undefined) return undefined;
  const directory = dirname(sources.memory);
  const version = /\/memory\.(max|high)$/.test(sources.memory) ? 2 : 1;
  return {
    limitBytes: memoryBytes,
    usageFile: join(directory, version === 1 ? 'memory.usage_in_bytes' : 'memory.current'),
    statFile: join(directory, 'memory.stat'),
    version,
  };
}

/** All that the group is charged with. Undefined where it cannot be read, as without a free descriptor. */
export function chargedBytes({ usageFile }: MemoryGroup, read: ReadFile): number | undefined {
  const text = read(usageFile);
  return text === undefined ? undefined : Number(text);
}

/**
 * The charge without page cache, which the kernel drops before it kills. Mapped files stay in: they include the program
 * itself, and without those pages everything would crawl.
 */
export function neededBytes(group: MemoryGroup, charged: number, read: ReadFile): number | undefined {
  const text = read(group.statFile);
  if (text === undefined) return undefined;
  const { cache, mapped } = FIELDS[group.version];
  const field = (key: string): number => fieldOf(text, key) ?? 0;
  const droppable = cache.reduce((sum, key) => sum + field(key), 0) - field(mapped);
  return charged - Math.max(0, droppable);
}
