/** What the kernel counts for this process's cgroup: throttling, memory, OOM kills and pressure. Read at each scrape. */
import { dirname, join } from 'node:path/posix';
import { findCgroup, type Group } from './cgroup.ts';
import { type LimitsOptions, readLimits } from './limits.ts';
import { fileReader } from './read-file.ts';

const NS_PER_S = 1e9;
const US_PER_S = 1e6;

/** Undefined where the kernel does not tell. Times in seconds. */
export interface Usage {
  readonly quotaCores: number | undefined;
  readonly periods: number | undefined;
  readonly throttledPeriods: number | undefined;
  readonly throttledSeconds: number | undefined;
  readonly memoryLimitBytes: number | undefined;
  readonly memoryUsageBytes: number | undefined;
  /** Usage without inactive page cache: what the kubelet and `kubectl top` go by. */
  readonly memoryWorkingSetBytes: number | undefined;
  readonly oomKills: number | undefined;
  /** Time in which some task waited, by resource; empty on cgroup v1. */
  readonly pressureSeconds: Readonly<Record<string, number>>;
}

const RESOURCES = ['cpu', 'memory', 'io'];

/** Never throws. */
export function readUsage(options: LimitsOptions = {}): Usage {
  const read = fileReader(options.root);
  const { quotaCores, memoryBytes, sources } = readLimits(options);
  const { cpu, memory } = findCgroup(read);
  const cpuStat = read(fileOf(cpu, sources.quota, 'cpu.stat')) ?? '';
  const isV1 = memory?.version === 1;
  const usage = whole(read(fileOf(memory, sources.memory, isV1 ? 'memory.usage_in_bytes' : 'memory.current')));
  const memoryStat = read(fileOf(memory, sources.memory, 'memory.stat')) ?? '';
  const inactive = field(memoryStat, isV1 ? 'total_inactive_file' : 'inactive_file') ?? 0;
  const events = read(fileOf(memory, sources.memory, isV1 ? 'memory.oom_control' : 'memory.events')) ?? '';
  const throttledNs = field(cpuStat, 'throttled_time');
  const throttledUs = field(cpuStat, 'throttled_usec');

  const pressureSeconds: Record<string, number> = {};
  for (const resource of RESOURCES) {
    const text = cpu?.version === 2 ? (read(join(cpu.directories[0], `${resource}.pressure`)) ?? '') : '';
    const total = /^some .*\btotal=(\d+)/m.exec(text)?.[1];
    if (total !== undefined) pressureSeconds[resource] = Number(total) / US_PER_S;
  }
  return {
    quotaCores,
    periods: field(cpuStat, 'nr_periods'),
    throttledPeriods: field(cpuStat, 'nr_throttled'),
    throttledSeconds: throttledNs === undefined ? scaled(throttledUs, US_PER_S) : throttledNs / NS_PER_S,
    memoryLimitBytes: memoryBytes,
    memoryUsageBytes: usage,
    memoryWorkingSetBytes: usage === undefined ? undefined : Math.max(0, usage - inactive),
    oomKills: field(events, 'oom_kill'),
    pressureSeconds,
  };
}

/** A file of the group that has the limit, where there is one, and of the own group otherwise. */
function fileOf(group: Group | undefined, source: string | undefined, name: string): string {
  const directory = source === undefined ? group?.directories[0] : dirname(source);
  return directory === undefined ? '' : join(directory, name);
}

/** The number of a `key number` line: "Flat keyed" in cgroup-v2 (kernel documentation). */
function field(text: string, key: string): number | undefined {
  const digits = new RegExp(`^${key} (\\d+)$`, 'm').exec(text)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

function whole(text = ''): number | undefined {
  return /^\d+\s*$/.test(text) ? Number(text) : undefined;
}

function scaled(value: number | undefined, unit: number): number | undefined {
  return value === undefined ? undefined : value / unit;
}
