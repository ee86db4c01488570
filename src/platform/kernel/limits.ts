/** The CPUs and memory that the kernel grants this process. Read at the start and for every live resize. */
import { availableParallelism, totalmem } from 'node:os';
import { dirname, join } from 'node:path/posix';
import { type CgroupKind, findCgroup, type Group } from './cgroup.ts';
import { countCpus, parseCpuList } from './cpu.ts';
import { fieldOf, fileReader, type ReadFile, steadyReader } from './read-file.ts';

export interface Limits {
  /** CPUs of the machine that are online: the fallback where nothing below is known. */
  onlineCpus: number;
  /** CPUs that the affinity mask allows; undefined if unreadable. */
  affinityCpus: number | undefined;
  /** CPUs of the tightest visible cpuset; undefined without the controller. */
  cpusetCpus: number | undefined;
  /** Tightest CPU quota from the own group to the visible root, in cores, fractional; undefined = none. */
  quotaCores: number | undefined;
  /** Tightest hard or throttling memory limit from the own group to the visible root, in bytes; undefined = none. */
  memoryBytes: number | undefined;
  cgroup: CgroupKind;
  /** The files that decided, without the injected root. */
  sources: { quota?: string; cpuset?: string; memory?: string };
}

export interface LimitsOptions {
  /** Directory that stands for `/`. */
  root?: string;
  /** Memory of the machine; a limit above it is none. */
  totalMemoryBytes?: number;
  /** CPUs of the machine, instead of /sys/devices/system/cpu/online. */
  onlineCpus?: number;
}

/** Files that may hold a limit, by cgroup version. */
type Files = Readonly<Record<Group['version'], readonly string[]>>;
/** v1: sched-bwc; v2: cgroup-v2, "CPU Interface Files" (kernel documentation). */
const PERIOD = 'cpu.cfs_period_us';
const QUOTA: Files = { 1: ['cpu.cfs_quota_us'], 2: ['cpu.max'] };
/** cpuset(7); cgroup-v2, "Cpuset Interface Files" */
const CPUSET: Files = { 1: ['cpuset.effective_cpus', 'cpuset.cpus'], 2: ['cpuset.cpus.effective'] };
/** Above `memory.high` the kernel throttles a worker to a crawl, so it counts like `memory.max`. */
const MEMORY: Files = { 1: ['memory.limit_in_bytes', 'memory.stat'], 2: ['memory.max', 'memory.high'] };

/** `max`, `-1` and noise are NaN, which is no limit. */
const integer = (text = ''): number => (/^\s*\d+\s*$/.test(text) ? Number(text) : Number.NaN);

/** For repeated reads. After a transient error a limit keeps its value: running out of descriptors lifts no limit. */
export function limitsReader(options: LimitsOptions = {}): () => Limits {
  const read = steadyReader(options.root);
  return () => readLimits(options, read);
}

/** Never throws: what cannot be read or parsed is no limit. */
export function readLimits(options: LimitsOptions = {}, read = fileReader(options.root)): Limits {
  const { totalMemoryBytes = totalmem() } = options;
  const cgroup = findCgroup(read);
  const online = parseCpuList(read('/sys/devices/system/cpu/online') ?? '');
  // proc_pid_status(5)
  const [, affinity = ''] = /^Cpus_allowed_list:\s*(\S+)/m.exec(read('/proc/self/status') ?? '') ?? [];

  const quota = tightest(QUOTA, cgroup.cpu, read, (text, source) => {
    if (source.endsWith('cpu.cfs_quota_us')) return integer(text) / integer(read(join(dirname(source), PERIOD)));
    const [microseconds, period] = text.trim().split(/\s+/);
    return integer(microseconds) / integer(period);
  });
  // An empty list inherits the parent's, which is read too.
  const cpuset = tightest(CPUSET, cgroup.cpuset, read, (text) => countCpus(text, online));
  const memory = tightest(MEMORY, cgroup.memory, read, (text, source) => {
    // It includes ancestors that a container's mount hides, such as the pod (cgroup-v1/memory).
    const bytes = source.endsWith('memory.stat') ? fieldOf(text, 'hierarchical_memory_limit') : integer(text);
    // v1 without a limit shows the largest page-aligned number, 9223372036854771712.
    return bytes !== undefined && bytes <= totalMemoryBytes ? bytes : undefined;
  });

  return {
    onlineCpus: options.onlineCpus ?? online?.size ?? availableParallelism(),
    affinityCpus: countCpus(affinity, online),
    cpusetCpus: cpuset?.value,
    quotaCores: quota?.value,
    memoryBytes: memory?.value,
    cgroup: cgroup.kind,
    sources: {
      ...(quota && { quota: quota.source }),
      ...(cpuset && { cpuset: cpuset.source }),
      ...(memory && { memory: memory.source }),
    },
  };
}

/**
 * The smallest value of all files in all directories; of equal ones the first file's, nearest to the own group. What is
 * not a positive number is no limit.
 */
function tightest(
  files: Files,
  group: Group | undefined,
  read: ReadFile,
  limitIn: (text: string, source: string) => number | undefined,
): { value: number; source: string } | undefined {
  if (group === undefined) return undefined;
  let found: { value: number; source: string } | undefined;
  for (const file of files[group.version]) {
    for (const directory of group.directories) {
      const source = join(directory, file);
      const text = read(source);
      const value = text === undefined ? undefined : limitIn(text, source);
      if (value && value > 0 && value < (found?.value ?? Number.POSITIVE_INFINITY)) found = { value, source };
    }
  }
  return found;
}
