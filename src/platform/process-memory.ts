/** The memory of this process. */

const { getHeapStatistics } = process.getBuiltinModule('node:v8');

/**
 * As process.memoryUsage(), in bytes, which throws where /proc/self/stat cannot be read: without /proc, or while no
 * descriptor is free. `lastRss` stands for the resident size then.
 */
export function processMemory(
  lastRss = 0,
  { memoryUsage }: Pick<NodeJS.Process, 'memoryUsage'> = process,
): Omit<NodeJS.MemoryUsage, 'arrayBuffers'> {
  try {
    return memoryUsage();
  } catch {
    const { used_heap_size: heapUsed, total_heap_size: heapTotal, external_memory: external } = getHeapStatistics();
    return { rss: lastRss, heapUsed, heapTotal, external };
  }
}
