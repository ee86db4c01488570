import type { Limits } from '../../src/platform/kernel/limits.ts';

/** Limits of which only the one for memory is of interest, and the file that it comes from. */
export const memoryLimits = (memoryBytes: number | undefined, source = '/sys/fs/cgroup/memory.max'): Limits => ({
  onlineCpus: 1,
  affinityCpus: 1,
  cpusetCpus: undefined,
  quotaCores: undefined,
  memoryBytes,
  cgroup: 'v2',
  sources: memoryBytes === undefined ? {} : { memory: source },
});
