/** The CPUs and memory that the kernel grants this process. Read at the start and for every live resize. */
import { availableParallelism, totalmem } from 'node:os';
import { join } from 'node:path/posix';
import { type CgroupKind, findCgroup, type Group } from './cgroup.ts';
import { affinityCpuCount, countCpus, onlineCpuSet } from './cpu.ts';
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

/** A file that may hold a limit, and its value in that file. What is not a positive finite number is no limit. */
interface Probe {
  readonly file: string;
  /** @param sibling reads another file of the same directory */
  value(text: string, online: CpuSet, sibling: ReadFile): number | undefined;
}
type Probes = Readonly<Record<Group['version'], readonly Probe[]>>;
type CpuSet = ReturnType<typeof onlineCpuSet>;

/** `max`, `-1` and noise are NaN, which is no limit. */
const integer = (text = ''): number => (/^\s*\d+\s*$/.test(text) ? Number(text) : Number.NaN);

const ratio = (quota?: string, period?: string): number => integer(quota) / integer(period);

/** v1: sched-bwc; v2: cgroup-v2, "CPU Interface Files" (kernel documentation). Microseconds per period. */
const QUOTA: Probes = {
  1: [{ file: 'cpu.cfs_quota_us', value: (text, _, sibling) => ratio(text, sibling('cpu.cfs_period_us')) }],
  2: [{ file: 'cpu.max', value: (text) => ratio(...text.trim().split(/\s+/)) }],
};

const cpuList = (file: string): Probe => ({ file, value: (text, online) => countCpus(text, online) });

/** An empty list inherits the parent's, which is read too. cpuset(7); cgroup-v2, "Cpuset Interface Files" */
const CPUSET: Probes = {
  1: [cpuList('cpuset.effective_cpus'), cpuList('cpuset.cpus')],
  2: [cpuList('cpuset.cpus.effective')],
};

/**
 * Bytes. Above `memory.high` the kernel throttles a worker to a crawl, so it counts like `memory.max`.
 * `hierarchical_memory_limit` (cgroup-v1/memory) includes ancestors that a container's mount hides, such as the pod.
 */
const MEMORY: Probes = {
  1: [
    { file: 'memory.limit_in_bytes', value: integer },
    { file: 'memory.stat', value: (text) => fieldOf(text, 'hierarchical_memory_limit') },
  ],
  2: [
    { file: 'memory.max', value: integer },
    { file: 'memory.high', value: integer },
  ],
};

/** For repeated reads. After a transient error a limit keeps its value: running out of descriptors lifts no limit. */
export function limitsReader(options: LimitsOptions = {}): () => Limits {
  const read = steadyReader(options.root);
  return () => readLimits(options, read);
}

/** Never throws: what cannot be read or parsed is no limit. */
export function readLimits(options: LimitsOptions = {}, read = fileReader(options.root)): Limits {
  const { totalMemoryBytes = totalmem() } = options;
  const cgroup = findCgroup(read);
  const online = onlineCpuSet(read);

  const quota = tightest(QUOTA, cgroup.cpu, read, online);
  const cpuset = tightest(CPUSET, cgroup.cpuset, read, online);
  // v1 without a limit shows the largest page-aligned number, 9223372036854771712.
  const memory = tightest(MEMORY, cgroup.memory, read, online, totalMemoryBytes);

  return {
    onlineCpus: options.onlineCpus ?? online?.size ?? availableParallelism(),
    affinityCpus: affinityCpuCount(read, online),
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

/** The smallest value of all probes in all directories; of equal ones the first probe's, nearest to the own group. */
function tightest(
  probes: Probes,
  group: Group | undefined,
  read: ReadFile,
  online: CpuSet,
  atMost = Number.MAX_VALUE,
): { value: number; source: string } | undefined {
  if (group === undefined) return undefined;
  let found: { value: number; source: string } | undefined;
  for (const { file, value: valueIn } of probes[group.version]) {
    for (const directory of group.directories) {
      const source = join(directory, file);
      const text = read(source);
      const value = text === undefined ? undefined : valueIn(text, online, (name) => read(join(directory, name)));
      if (value && value > 0 && value <= atMost && value < (found?.value ?? Number.POSITIVE_INFINITY)) {
        found = { value, source };
      }
    }
  }
  return found;
}
