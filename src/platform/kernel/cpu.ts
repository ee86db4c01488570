/** The CPUs that this process may use, and the time that a process waits for one. */
import { fileReader, type ReadFile, statFields } from './read-file.ts';

/** Above any NR_CPUS (at most 8192), so that a nonsense range cannot fill the memory. */
const MAX_CPU = 65_535;
const NS_PER_MS = 1e6;

/** CPU numbers of a list such as `0-3,7`; undefined if it is empty or malformed. cpuset(7), "List format" */
export function parseCpuList(text: string): Set<number> | undefined {
  const cpus = new Set<number>();
  for (const part of text.trim().split(',')) {
    const [, first, last = first] = /^(\d+)(?:-(\d+))?$/.exec(part) ?? [];
    if (first === undefined || Number(last) > MAX_CPU) return undefined;
    for (let cpu = Number(first); cpu <= Number(last); cpu++) cpus.add(cpu);
  }
  return cpus.size > 0 ? cpus : undefined;
}

/**
 * How many CPUs of `online` the list names. A mask may name CPUs that can be plugged in later (a VM with 4 CPUs often
 * reads `0-127`); sched_getaffinity(2) leaves those out too.
 */
export function countCpus(list: string, online: ReadonlySet<number> | undefined): number | undefined {
  const cpus = parseCpuList(list);
  if (cpus === undefined || online === undefined) return cpus?.size;
  return [...cpus].filter((cpu) => online.has(cpu)).length || undefined;
}

/** How long a process was runnable without a CPU: other processes ran, or its cgroup's quota was used up. */
export class CpuWait {
  readonly #pid: number;
  readonly #read: ReadFile;
  #at: number;
  /** Milliseconds of the main thread since its start. */
  #ran = 0;
  /** Milliseconds with throttled time. The kernel adds a wait when it ends. */
  #waited = 0;
  /** Reported already, of a wait that the kernel has not counted yet. */
  #reported = 0;

  constructor(pid: number, now: number, root = '/') {
    this.#pid = pid;
    this.#read = fileReader(root);
    this.#at = now;
  }

  /** Milliseconds since the last call; 0 where the kernel does not count. */
  take(now: number): number {
    // proc_pid_schedstat(5), and "Scheduler Statistics" of the kernel documentation.
    const schedule = this.#read(`/proc/${this.#pid}/schedstat`) ?? '';
    const [ran = 0, waited = 0] = schedule.split(' ').map((ns) => Number(ns) / NS_PER_MS || 0);
    const counted = waited - this.#waited;
    const elapsed = now - this.#at;
    const stoodStill = ran === this.#ran;
    this.#ran = ran;
    this.#waited = waited;
    this.#at = now;
    // The state is R also while it waits for a CPU.
    if (counted === 0 && stoodStill && ran > 0 && statFields(this.#read, this.#pid)[0] === 'R') {
      this.#reported += elapsed;
      return elapsed;
    }
    const wait = Math.max(0, counted - this.#reported);
    this.#reported = 0;
    return wait;
  }
}
