/** How many workers, and how much heap for each. Pure: the settings and the kernel's limits go in, the decision comes out. */
import type { Limits } from './platform/kernel/limits.ts';

/** The settings that sizing looks at, parsed. */
export interface SizingSettings {
  /** A number is kept as it is, whatever the limits. */
  workers: 'auto' | number;
  workersPerCpu: number;
  minWorkers: number;
  /** undefined: no bound where there is a CPU quota, else {@link MAX_WORKERS_WITHOUT_QUOTA}. */
  maxWorkers: number | undefined;
  /** Bytes one worker is assumed to need. */
  workerMemory: number;
  /** Old space of each worker: a number is bytes. */
  workerHeap: 'auto' | 'off' | number;
  /** Resident size above which a worker is recycled: a number is bytes. */
  maxWorkerRss: 'auto' | 'off' | number;
}

export interface Sizing {
  workers: number;
  /** V8 old space for each worker, in bytes; undefined leaves it to V8. */
  heapBytes: number | undefined;
  /** Resident size above which a worker is recycled; undefined is no limit. */
  maxRss: number | undefined;
  /** How many workers may boot at the same time: 64 at once on 2 CPUs would all be late. */
  bootsAtOnce: number;
  /** Cores that may be used: the smallest of affinity, cpuset and quota; fractional. */
  cpus: number;
  /** One line for the log: every input and the decision. */
  why: string;
  /** What is wrong with the limits or the settings and how to mend it. */
  warning: string | undefined;
  /** What `why` says, for programs. */
  inputs: SizingInputs;
}

export interface SizingInputs {
  limits: Limits;
  /** Workers that the CPUs ask for, and that fit the memory limit. */
  byCpus: number;
  byMemory: number | undefined;
  /** Bounds in force. */
  min: number;
  max: number | undefined;
}

const MIB = 2 ** 20;

/** A tenth of a core is not worth a worker. */
const IGNORED_CPU = 0.1;

/** 2.7 cores × 3 − 0.1 is 8.000000000000002 in binary, which would round up to 9. */
const ROUNDING = 1e-9;

/** Where nobody set a quota the machine is likely shared, and 64 workers on its 64 CPUs are rarely what was meant. */
const MAX_WORKERS_WITHOUT_QUOTA = 8;

/** The rest is for what the group is charged with beside processes: page cache, socket buffers, page tables. */
const USABLE_MEMORY = 0.9;

/** The arbiter's own memory. */
const ARBITER_BYTES = 64 * MIB;

/** The rest of a worker's share is young space, code, buffers and stacks, which the old-space limit does not cover. */
const HEAP_SHARE = 0.75;

/**
 * Less would only cause the deaths that the limit is there to prevent. Measured on Node.js 26 with an Express app that
 * also loads pino and prom-client: out of memory at 10 MiB, twice the time for the same requests at 16, no cost from 24.
 */
const MIN_HEAP_BYTES = 32 * MIB;

/** Recycled at this much of its fair share, a worker leaves room for its successor to boot. */
const RSS_SHARE = 0.9;

/**
 * Of a resident size this much is pages of the Node.js binary, which all processes share and the group is charged with
 * once: they are in the arbiter's part. 50 to 53 MB on Node.js 22 to 26 (proc_pid_statm(5), "shared").
 */
const SHARED_BYTES = 48 * MIB;

/**
 * Decides in this order: CPUs, what fits the memory, TSUNICORN_MAX_WORKERS, TSUNICORN_MIN_WORKERS. The last has the last
 * word because somebody wrote it down for this app, while a worker's memory is an assumption; a number that was asked
 * for and exceeds the memory is warned of. Never below one worker.
 *
 * @param signalled a number that signals asked for, which wins over the settings
 */
export function decideSizing(settings: SizingSettings, limits: Limits, signalled?: number): Sizing {
  const { memoryBytes, sources } = limits;
  const cpus = usableCpus(limits);
  const byCpus = Math.max(1, Math.ceil(cpus * settings.workersPerCpu - IGNORED_CPU - ROUNDING));
  const byMemory = workersInMemory(settings, memoryBytes);
  const max = settings.maxWorkers ?? (limits.quotaCores === undefined ? MAX_WORKERS_WITHOUT_QUOTA : undefined);

  const asked = signalled ?? settings.workers;
  const auto = asked === 'auto';
  const workers = auto ? Math.max(1, settings.minWorkers, Math.min(byCpus, byMemory ?? byCpus, max ?? byCpus)) : asked;
  const heapBytes = heapPerWorker(settings.workerHeap, memoryBytes, workers);
  const maxRss = rssPerWorker(settings.maxWorkerRss, memoryBytes, workers);

  const why = [
    `cgroup ${limits.cgroup}`,
    `cpus ${decimal(cpus)} (${describeCpus(limits)})${auto ? ` at ${settings.workersPerCpu} per CPU ask for ${byCpus}` : ''}`,
    byMemory === undefined
      ? 'no memory limit'
      : `memory limit ${size(memoryBytes)}${from(sources.memory)} holds ${byMemory} of ${size(settings.workerMemory)}`,
    auto
      ? `bounds ${settings.minWorkers} to ${max ?? 'none'}`
      : `number set by ${signalled === undefined ? 'TSUNICORN_WORKERS' : 'signals'}`,
    heapBytes === undefined ? 'heap limit left to V8' : `heap limit ${size(heapBytes)} each`,
    ...(maxRss === undefined ? [] : [`recycled above ${size(maxRss)}`]),
  ];
  const warnings = [
    ...(auto && limits.quotaCores === undefined
      ? [noQuotaWarning(limits, cpus, byCpus > workers && workers === max)]
      : []),
    // One worker is the least there can be: nothing to lower then.
    ...(byMemory !== undefined && workers > Math.max(1, byMemory)
      ? [memoryWarning(settings, limits, workers, byMemory)]
      : []),
  ];
  return {
    workers,
    heapBytes,
    maxRss,
    bootsAtOnce: Math.max(1, Math.ceil(cpus - IGNORED_CPU - ROUNDING)),
    cpus,
    why: `${workers} worker${workers === 1 ? '' : 's'}: ${why.join('; ')}`,
    warning: warnings.length > 0 ? warnings.join(' ') : undefined,
    inputs: { limits, byCpus, byMemory, min: settings.minWorkers, max },
  };
}

/** Cores, fractional under a quota. */
function usableCpus({ affinityCpus, cpusetCpus, quotaCores, onlineCpus }: Limits): number {
  const known = [affinityCpus, cpusetCpus, quotaCores].filter((cpus) => cpus !== undefined);
  return known.length > 0 ? Math.min(...known) : onlineCpus;
}

/** undefined without a limit; 0 where not even one is sure to fit. */
function workersInMemory({ workerMemory }: SizingSettings, memoryBytes: number | undefined): number | undefined {
  if (memoryBytes === undefined) return undefined;
  return Math.max(0, Math.floor((USABLE_MEMORY * memoryBytes - ARBITER_BYTES) / workerMemory));
}

/** Whole MiB, as --max-old-space-size takes them. Without a memory limit V8's own choice by physical memory is right. */
function heapPerWorker(
  setting: SizingSettings['workerHeap'],
  memoryBytes: number | undefined,
  workers: number,
): number | undefined {
  if (typeof setting === 'number') return setting;
  if (setting === 'off' || memoryBytes === undefined) return undefined;
  const share = (HEAP_SHARE * (memoryBytes - ARBITER_BYTES)) / workers;
  return Math.max(MIN_HEAP_BYTES, Math.floor(share / MIB) * MIB);
}

function rssPerWorker(
  setting: SizingSettings['maxWorkerRss'],
  memoryBytes: number | undefined,
  workers: number,
): number | undefined {
  if (typeof setting === 'number') return setting;
  if (setting === 'off' || memoryBytes === undefined) return undefined;
  const share = (RSS_SHARE * Math.max(0, memoryBytes - ARBITER_BYTES)) / workers;
  return SHARED_BYTES + Math.floor(share / MIB) * MIB;
}

const decimal = (value: number): string => String(Number(value.toFixed(3)));

/** In the form that the settings take. */
const size = (bytes = 0): string => `${Number((bytes / MIB).toFixed(1))}MiB`;

const from = (source: string | undefined): string => (source === undefined ? '' : ` from ${source}`);

function describeCpus({ affinityCpus, cpusetCpus, quotaCores, onlineCpus, sources }: Limits): string {
  return [
    `quota ${quotaCores === undefined ? 'none' : decimal(quotaCores)}${from(sources.quota)}`,
    `cpuset ${cpusetCpus ?? 'none'}${from(sources.cpuset)}`,
    `affinity ${affinityCpus ?? 'unknown'}`,
    `online ${onlineCpus}`,
  ].join(', ');
}

function noQuotaWarning(limits: Limits, cpus: number, capped: boolean): string {
  return (
    `no CPU quota${limits.cgroup === 'none' ? ' (no cgroup is visible)' : ''}: sized from the CPUs of affinity and ` +
    `cpuset (${cpus}), which others may use too${capped ? ', up to TSUNICORN_MAX_WORKERS' : ''}. ` +
    'Set one (docker run --cpus=2, Kubernetes resources.limits.cpu, systemd CPUQuota=200%), or set TSUNICORN_WORKERS.'
  );
}

function memoryWarning(settings: SizingSettings, limits: Limits, workers: number, byMemory: number): string {
  return (
    `${workers} workers of ${size(settings.workerMemory)} (TSUNICORN_WORKER_MEMORY) do not fit the memory limit of ` +
    `${size(limits.memoryBytes)}, which holds ${byMemory}: the kernel may kill them. Raise the memory limit, ` +
    `or lower ${settings.workers === 'auto' ? 'TSUNICORN_MIN_WORKERS' : 'TSUNICORN_WORKERS'}.`
  );
}
