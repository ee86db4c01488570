/** What the kernel grants this process: CPUs and memory. Read at the start and again for every live resize. */
import { availableParallelism, totalmem } from 'node:os';
import { join } from 'node:path/posix';
import { type CgroupKind, findCgroup, type Group } from './cgroup.ts';
import { affinityCpuCount, countCpus, onlineCpuSet } from './cpu.ts';
import { fileReader, type ReadFile, steadyReader } from './read-file.ts';

export interface Limits {
  /** CPUs of the machine that are online: what is left to go by where nothing below is known. */
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
  /** The files that decided, as the process sees them (without the injected root). */
  sources: { quota?: string; cpuset?: string; memory?: string };
}

export interface LimitsOptions {
  /** Directory that stands for `/`. */
  root?: string;
  /** Memory of the machine in bytes; a limit above it is none. */
  totalMemoryBytes?: number;
  /** CPUs of the machine, instead of /sys/devices/system/cpu/online. */
  onlineCpus?: number;
}

interface Context {
  readonly online: ReadonlySet<number> | undefined;
  /** Another file of the same directory. */
  sibling(file: string): string | undefined;
}

/** A file that may hold a limit, and how to read it. What is not a positive finite number is no limit. */
interface Probe {
  readonly file: string;
  value(text: string, context: Context): number | undefined;
}
type Probes = Readonly<Record<Group['version'], readonly Probe[]>>;

/** Decimal digits alone: `max`, `-1` and noise are NaN, which is no limit. */
const integer = (text = ''): number => (/^\s*\d+\s*$/.test(text) ? Number(text) : Number.NaN);

/** v1: sched-bwc; v2: cgroup-v2, "CPU Interface Files" (kernel documentation). Microseconds per period. */
const QUOTA: Probes = {
  1: [
    { file: 'cpu.cfs_quota_us', value: (text, { sibling }) => integer(text) / integer(sibling('cpu.cfs_period_us')) },
  ],
  2: [
    {
      file: 'cpu.max',
      value: (text) => {
        const [quota, period] = text.trim().split(/\s+/);
        return integer(quota) / integer(period);
      },
    },
  ],
};

const cpuList = (file: string): Probe => ({ file, value: (text, { online }) => countCpus(text, online) });

/** An empty list inherits the parent's, which is on the way up. cpuset(7); cgroup-v2, "Cpuset Interface Files" */
const CPUSET: Probes = {
  1: [cpuList('cpuset.effective_cpus'), cpuList('cpuset.cpus')],
  2: [cpuList('cpuset.cpus.effective')],
};

/**
 * Bytes. Above `memory.high` the kernel throttles and reclaims until a worker crawls, so it counts like `memory.max`.
 * `hierarchical_memory_limit` (cgroup-v1/memory) knows ancestors which a container's mount does not show, as the pod's.
 */
const MEMORY: Probes = {
  1: [
    { file: 'memory.limit_in_bytes', value: (text) => integer(text) },
    { file: 'memory.stat', value: (text) => integer(/^hierarchical_memory_limit (\d+)$/m.exec(text)?.[1]) },
  ],
  2: [
    { file: 'memory.max', value: (text) => integer(text) },
    { file: 'memory.high', value: (text) => integer(text) },
  ],
};

/**
 * For one who looks again and again. A limit is what it was where it cannot be read just now: a server that has run out
 * of descriptors is not to think that it has no limits.
 */
export function limitsReader(options: LimitsOptions = {}): () => Limits {
  const read = steadyReader(options.root);
  return () => readLimits(options, read);
}

/** Reads all limits. Never throws: what cannot be read or understood is no limit. */
export function readLimits(options: LimitsOptions = {}, read = fileReader(options.root)): Limits {
  const { totalMemoryBytes = totalmem() } = options;
  const cgroup = findCgroup(read);
  const online = onlineCpuSet(read);

  const quota = tightest(QUOTA, cgroup.cpu, read, online);
  const cpuset = tightest(CPUSET, cgroup.cpuset, read, online);
  // Without a limit v1 shows the largest page-aligned number, 9223372036854771712.
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

/** The smallest value of all probes in all directories; of equals the first probe's, nearest to the own group. */
function tightest(
  probes: Probes,
  group: Group | undefined,
  read: ReadFile,
  online: ReadonlySet<number> | undefined,
  atMost = Number.MAX_VALUE,
): { value: number; source: string } | undefined {
  if (group === undefined) return undefined;
  let found: { value: number; source: string } | undefined;
  for (const probe of probes[group.version]) {
    for (const directory of group.directories) {
      const source = join(directory, probe.file);
      const text = read(source);
      if (text === undefined) continue;
      const value = probe.value(text, { online, sibling: (name) => read(join(directory, name)) }) ?? Number.NaN;
      if (value > 0 && value <= atMost && value < (found?.value ?? Number.POSITIVE_INFINITY)) found = { value, source };
    }
  }
  return found;
}
