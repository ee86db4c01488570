/** The number of workers and the heap of each, from the settings and the kernel's limits. Pure. */

import { MIB } from './platform/bytes.ts';
import type { Limits } from './platform/kernel/limits.ts';

type SizeSetting = 'auto' | 'off' | number;

/** Sizes in bytes. */
export interface SizingSettings {
  /** A number overrides the limits. */
  workers: 'auto' | number;
  workersPerCpu: number;
  minWorkers: number;
  /** Undefined: no bound if there is a CPU quota, else {@link MAX_WORKERS_WITHOUT_QUOTA}. */
  maxWorkers: number | undefined;
  workerMemory: number;
  workerHeap: SizeSetting;
  maxWorkerRss: SizeSetting;
}

export interface Sizing {
  workers: number;
  /** V8 old space of each worker, in bytes; undefined leaves it to V8. */
  heapBytes: number | undefined;
  /** Resident size above which a worker is recycled; undefined: never. */
  maxRss: number | undefined;
  /** How many workers may boot at once: 64 on 2 CPUs would all exceed the boot timeout. */
  bootsAtOnce: number;
  /** Usable cores, fractional: the smallest of affinity, cpuset and quota. */
  cpus: number;
  /** A log line with every input and the decision. */
  why: string;
  /** A problem with the limits or the settings, and its fix. */
  warning: string | undefined;
  inputs: {
    limits: Limits;
    signalled: boolean;
    /** Workers for the CPUs, and workers that fit the memory limit. */
    byCpus: number;
    byMemory: number | undefined;
    min: number;
    max: number | undefined;
  };
}

/** A tenth of a core is not worth a worker. */
const IGNORED_CPU = 0.1;
/** 2.7 cores × 3 − 0.1 is 8.000000000000002 in binary, which would round up to 9. */
const ROUNDING = 1e-9;
/** Without a quota the machine is probably shared, so 64 workers on 64 CPUs are rarely wanted. */
const MAX_WORKERS_WITHOUT_QUOTA = 8;
/** The rest is page cache, socket buffers and page tables, which the cgroup is charged with too. */
const USABLE_MEMORY = 0.9;
const ARBITER_BYTES = 64 * MIB;
/** Old space. The rest of a worker's share is young space, code, buffers and stacks. */
const HEAP_SHARE = 0.75;
/**
 * A lower limit would cause the deaths that it should prevent. Measured on Node.js 26 with Express, pino and prom-client:
 * out of memory at 10 MiB, half the speed at 16, no cost from 24.
 */
const MIN_HEAP_BYTES = 32 * MIB;
/** A worker that is recycled at this part of its share leaves its successor room to boot. */
const RSS_SHARE = 0.9;
/**
 * Pages of the Node.js binary, which all processes share and the cgroup is charged with once, as part of the arbiter's
 * memory. 50 to 53 MB on Node.js 22 to 26 (proc_pid_statm(5), "shared").
 */
const SHARED_BYTES = 48 * MIB;

/**
 * In this order: CPUs, memory, TSUNICORN_MAX_WORKERS, TSUNICORN_MIN_WORKERS, at least 1. The minimum wins over the memory
 * because it was set for this app, while the memory of a worker is an assumption; a warning says that they do not fit.
 *
 * @param signalled a number set by signals, which overrides the settings
 */
export function decideSizing(settings: SizingSettings, limits: Limits, signalled?: number): Sizing {
  const { memoryBytes, sources } = limits;
  const known = [limits.affinityCpus, limits.cpusetCpus, limits.quotaCores].filter((cpus) => cpus !== undefined);
  const cpus = known.length > 0 ? Math.min(...known) : limits.onlineCpus;
  const byCpus = Math.max(1, Math.ceil(cpus * settings.workersPerCpu - IGNORED_CPU - ROUNDING));
  /** 0 if not even one is sure to fit. */
  const byMemory =
    memoryBytes && Math.max(0, Math.floor((USABLE_MEMORY * memoryBytes - ARBITER_BYTES) / settings.workerMemory));
  const max = settings.maxWorkers ?? (limits.quotaCores === undefined ? MAX_WORKERS_WITHOUT_QUOTA : undefined);

  const asked = signalled ?? settings.workers;
  const auto = asked === 'auto';
  const workers = auto ? Math.max(1, settings.minWorkers, Math.min(byCpus, byMemory ?? byCpus, max ?? byCpus)) : asked;
  const share = (part: number): number =>
    Math.floor((part * Math.max(0, (memoryBytes ?? 0) - ARBITER_BYTES)) / workers / MIB) * MIB;
  // Without a memory limit V8's own defaults are right.
  const heapBytes = bytesOf(settings.workerHeap, memoryBytes && Math.max(MIN_HEAP_BYTES, share(HEAP_SHARE)));
  const maxRss = bytesOf(settings.maxWorkerRss, memoryBytes && SHARED_BYTES + share(RSS_SHARE));

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
    auto && limits.quotaCores === undefined && noQuotaWarning(limits, cpus, byCpus > workers && workers === max),
    // One worker cannot be lowered.
    byMemory !== undefined && workers > Math.max(1, byMemory) && memoryWarning(settings, limits, workers, byMemory),
  ];
  return {
    workers,
    heapBytes,
    maxRss,
    bootsAtOnce: Math.max(1, Math.ceil(cpus - IGNORED_CPU - ROUNDING)),
    cpus,
    why: `${workers} worker${workers === 1 ? '' : 's'}: ${why.join('; ')}`,
    warning: warnings.filter(Boolean).join(' ') || undefined,
    inputs: { limits, signalled: signalled !== undefined, byCpus, byMemory, min: settings.minWorkers, max },
  };
}

function bytesOf(setting: SizeSetting, auto: number | undefined): number | undefined {
  if (setting === 'auto') return auto;
  return setting === 'off' ? undefined : setting;
}

const decimal = (value: number): string => String(Number(value.toFixed(3)));
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
    `no CPU quota${limits.cgroup === 'none' ? ' (no cgroup is visible)' : ''}: sized from affinity and cpuset ` +
    `(${cpus} CPUs), which other processes may use too${capped ? ', up to TSUNICORN_MAX_WORKERS' : ''}. ` +
    'Set a quota (docker run --cpus=2, Kubernetes resources.limits.cpu, systemd CPUQuota=200%), or set TSUNICORN_WORKERS.'
  );
}

function memoryWarning(settings: SizingSettings, limits: Limits, workers: number, byMemory: number): string {
  return (
    `${workers} workers of ${size(settings.workerMemory)} (TSUNICORN_WORKER_MEMORY) do not fit the memory limit of ` +
    `${size(limits.memoryBytes)}, which holds ${byMemory}: the kernel may kill them. Raise the memory limit, ` +
    `or lower ${settings.workers === 'auto' ? 'TSUNICORN_MIN_WORKERS' : 'TSUNICORN_WORKERS'}.`
  );
}
