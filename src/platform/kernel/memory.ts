/** How full the group is whose memory limit counts: what the arbiter tells workers to watch, and how it is read. */
import { dirname, join } from 'node:path/posix';
import type { Limits } from './limits.ts';
import type { ReadFile } from './read-file.ts';

/** The group with the limit, as a worker needs it to look for itself; plain JSON. */
export interface MemoryGroup {
  readonly limitBytes: number;
  readonly usageFile: string;
  readonly statFile: string;
  readonly version: 1 | 2;
}

/** v1 counts the groups below only under `total_` (cgroup-v1/memory, "Statistics"); v2 always does. */
const FIELDS = {
  1: { cache: ['total_inactive_file', 'total_active_file'], mapped: 'total_mapped_file' },
  2: { cache: ['inactive_file', 'active_file'], mapped: 'file_mapped' },
} as const;

/** Undefined where there is no memory limit. */
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

/** All that the group is charged with: at least what it needs. Undefined where it cannot be read, as with no descriptor. */
export function chargedBytes({ usageFile }: MemoryGroup, read: ReadFile): number | undefined {
  const text = read(usageFile);
  return text === undefined ? undefined : Number(text);
}

/**
 * What of it cannot be had back: page cache is no load, since the kernel drops it before it kills anybody, except for
 * what is mapped, such as the program itself, without which everything would crawl.
 */
export function neededBytes(group: MemoryGroup, charged: number, read: ReadFile): number | undefined {
  const text = read(group.statFile);
  if (text === undefined) return undefined;
  const { cache, mapped } = FIELDS[group.version];
  const field = (key: string): number => Number(new RegExp(`^${key} (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
  const dropped = cache.reduce((sum, key) => sum + field(key), 0) - field(mapped);
  return charged - Math.max(0, dropped);
}
