/** What the kernel counts for this process's cgroup: throttling, memory, pressure and OOM kills. */
import { dirname, join } from 'node:path/posix';
import { findCgroup, type Group } from './cgroup.ts';
import { type LimitsOptions, readLimits } from './limits.ts';
import { fieldOf, fileReader } from './read-file.ts';

const NS_PER_S = 1e9;
const US_PER_S = 1e6;
const RESOURCES = ['cpu', 'memory', 'io'];

/** Undefined: the kernel does not count it here. Times in seconds. */
export interface Usage {
  readonly quotaCores: number | undefined;
  readonly periods: number | undefined;
  readonly throttledPeriods: number | undefined;
  readonly throttledSeconds: number | undefined;
  readonly memoryLimitBytes: number | undefined;
  readonly memoryUsageBytes: number | undefined;
  /** Usage without inactive page cache, as the kubelet and `kubectl top` count it. */
  readonly memoryWorkingSetBytes: number | undefined;
  readonly oomKills: number | undefined;
  /** Time in which some task waited, by resource; empty on cgroup v1. */
  readonly pressureSeconds: Readonly<Record<string, number>>;
}

/** Read at each scrape. Never throws. */
export function readUsage(options: LimitsOptions = {}): Usage {
  const read = fileReader(options.root);
  const { quotaCores, memoryBytes, sources } = readLimits(options);
  const { cpu, memory } = findCgroup(read);
  const isV1 = memory?.version === 1;
  const cpuStat = read(fileOf(cpu, sources.quota, 'cpu.stat'));
  const throttledNs = fieldOf(cpuStat, 'throttled_time');
  const throttledUs = fieldOf(cpuStat, 'throttled_usec');
  const usage = read(fileOf(memory, sources.memory, isV1 ? 'memory.usage_in_bytes' : 'memory.current'));
  const usageBytes = /^\d+\s*$/.test(usage ?? '') ? Number(usage) : undefined;
  const memoryStat = read(fileOf(memory, sources.memory, 'memory.stat'));
  const inactive = fieldOf(memoryStat, isV1 ? 'total_inactive_file' : 'inactive_file') ?? 0;

  const pressureSeconds: Record<string, number> = {};
  for (const resource of RESOURCES) {
    const text = cpu?.version === 2 ? (read(join(cpu.directories[0], `${resource}.pressure`)) ?? '') : '';
    const total = /^some .*\btotal=(\d+)/m.exec(text)?.[1];
    if (total !== undefined) pressureSeconds[resource] = Number(total) / US_PER_S;
  }
  return {
    quotaCores,
    periods: fieldOf(cpuStat, 'nr_periods'),
    throttledPeriods: fieldOf(cpuStat, 'nr_throttled'),
    throttledSeconds: throttledNs === undefined ? throttledUs && throttledUs / US_PER_S : throttledNs / NS_PER_S,
    memoryLimitBytes: memoryBytes,
    memoryUsageBytes: usageBytes,
    memoryWorkingSetBytes: usageBytes && Math.max(0, usageBytes - inactive),
    oomKills: fieldOf(read(fileOf(memory, sources.memory, eventsFile(isV1))), 'oom_kill'),
    pressureSeconds,
  };
}

/** A file of the group that has the limit; of the own group where there is no limit. */
function fileOf(group: Group | undefined, source: string | undefined, name: string): string {
  const directory = source === undefined ? group?.directories[0] : dirname(source);
  return directory === undefined ? '' : join(directory, name);
}

/** cgroup-v2, "Memory Interface Files"; v1 has the count since Linux 4.13. */
function eventsFile(isV1: boolean): string {
  return isV1 ? 'memory.oom_control' : 'memory.events';
}

/** OOM kills in the own cgroup so far, whichever limit on the way up was reached; undefined where there is no count. */
export function readOomKills(root = '/'): number | undefined {
  const read = fileReader(root);
  const { memory } = findCgroup(read);
  return memory && fieldOf(read(join(memory.directories[0], eventsFile(memory.version === 1))), 'oom_kill');
}

/** The kernel counts a kill before the process has exited. A death later than this after the count is another one. */
const FRESH_MS = 2_000;

export class OomKills {
  readonly #read: () => number | undefined;
  #seen: number;
  /** Counted kills whose exits may still follow. */
  #unexplained = 0;
  #freshUntil = 0;

  constructor(read: () => number | undefined = readOomKills) {
    this.#read = read;
    this.#seen = read() ?? 0;
  }

  /** Call it regularly: a kill explains deaths for {@link FRESH_MS} after the look that found it. */
  look(now: number): void {
    const count = this.#read() ?? this.#seen;
    const kills = count - this.#seen;
    this.#seen = count;
    if (now >= this.#freshUntil) this.#unexplained = 0;
    if (kills <= 0) return;
    this.#unexplained += kills;
    this.#freshUntil = now + FRESH_MS;
  }

  explains(now: number): boolean {
    this.look(now);
    if (this.#unexplained <= 0) return false;
    this.#unexplained--;
    return true;
  }
}
