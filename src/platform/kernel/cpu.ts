/** Which CPUs there are and which of them this process may use. */
import type { ReadFile } from './read-file.ts';

/** Above any NR_CPUS the kernel can be built with (8192), so that nonsense cannot fill the memory. */
const MAX_CPU = 65_535;

/** CPU numbers of a list such as `0-3,7`; undefined when it is empty or none. cpuset(7), List format */
export function parseCpuList(text: string): Set<number> | undefined {
  const cpus = new Set<number>();
  for (const part of text.trim().split(',')) {
    const [, first, last = first] = /^(\d+)(?:-(\d+))?$/.exec(part) ?? [];
    if (first === undefined || Number(last) > MAX_CPU) return undefined;
    for (let cpu = Number(first); cpu <= Number(last); cpu++) cpus.add(cpu);
  }
  return cpus.size > 0 ? cpus : undefined;
}

/** CPUs of the machine that are switched on; undefined without sysfs. */
export function onlineCpuSet(read: ReadFile): Set<number> | undefined {
  return parseCpuList(read('/sys/devices/system/cpu/online') ?? '');
}

/**
 * How many CPUs the list names, counting only those of `online`: masks may name CPUs that could be plugged in later
 * (a virtual machine with 4 CPUs often reads `0-127`). sched_getaffinity(2) leaves them out in the same way.
 */
export function countCpus(list: string, online: ReadonlySet<number> | undefined): number | undefined {
  const cpus = parseCpuList(list);
  if (cpus === undefined || online === undefined) return cpus?.size;
  return [...cpus].filter((cpu) => online.has(cpu)).length || undefined;
}

/** The affinity mask of the process, from `Cpus_allowed_list`; undefined if unreadable. proc_pid_status(5) */
export function affinityCpuCount(read: ReadFile, online: ReadonlySet<number> | undefined): number | undefined {
  const [, list] = /^Cpus_allowed_list:\s*(\S+)/m.exec(read('/proc/self/status') ?? '') ?? [];
  return list === undefined ? undefined : countCpus(list, online);
}
