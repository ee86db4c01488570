/** Puts together what `/status` answers. Pure: whoever calls it brings the time and what the kernel says. */
import type { CgroupStatus, SettingStatus, SizingStatus, Status, TotalsStatus, WorkerStatus } from '../admin/status.ts';
import { LAG_QUANTILES, type MetricName, REQUEST_BUCKETS } from '../observe/metrics/table.ts';
import type { Usage } from '../platform/kernel/usage.ts';
import type { Sizing } from '../sizing.ts';
import { version } from '../version.ts';
import type { History } from './history.ts';
import type { MetricsStore } from './metrics/store.ts';
import type { WorkerView } from './pool/decisions.ts';
import type { Pool } from './pool/pool.ts';

export interface StatusSources {
  readonly pool: Pick<Pool, 'workers' | 'target' | 'readiness'>;
  readonly store: MetricsStore;
  readonly history: History;
  readonly sizing: Sizing;
  readonly usage: Usage;
  readonly settings: Readonly<Record<string, SettingStatus>>;
  readonly listeners: readonly string[];
  /** By workerId. */
  readonly processes: ReadonlyMap<number, ProcessFacts>;
  /** The arbiter's. */
  readonly pid: number;
  /** When it started, in milliseconds by the pool's clock. */
  readonly startedAt: number;
}

export interface ProcessFacts {
  readonly pid: number | undefined;
  readonly heapSizeLimitBytes: number | undefined;
}

/** The quantile of the event loop's lag that is told; the metrics have others. */
const LAG_INDEX = LAG_QUANTILES.indexOf(0.99);

/** `now` in milliseconds by the pool's clock, `date` by the calendar. */
export function statusOf(sources: StatusSources, now: number, date: Date): Status {
  const { pool, history } = sources;
  return {
    time: date.toISOString(),
    pid: sources.pid,
    seconds: seconds(now - sources.startedAt),
    versions: { tsunicorn: version(), node: process.version },
    readiness: pool.readiness(),
    listeners: sources.listeners,
    sizing: sizingStatus(sources.sizing, pool.target),
    workers: pool.workers
      .toSorted((a, b) => a.slot - b.slot || a.workerId - b.workerId)
      .map((worker) => workerStatus(worker, sources, now)),
    exits: history.exits,
    totals: totalsStatus(sources.store),
    cgroup: cgroupStatus(sources.usage),
    settings: sources.settings,
  };
}

function workerStatus(
  { slot, workerId, state, startedAt }: WorkerView,
  sources: StatusSources,
  now: number,
): WorkerStatus {
  const { store, history, processes } = sources;
  const report = store.latest(workerId);
  const process = processes.get(workerId);
  return {
    slot,
    workerId,
    state,
    seconds: seconds(now - startedAt),
    pid: process?.pid ?? null,
    inFlight: report?.inFlight ?? null,
    connections: report?.connections ?? null,
    requests: report?.served ?? 0,
    eventLoopLag: report?.lag[LAG_INDEX] ?? null,
    eventLoopUtilization: report?.utilization ?? null,
    residentBytes: report?.rssBytes ?? null,
    heapUsedBytes: report?.heapUsedBytes ?? null,
    heapLimitBytes: process?.heapSizeLimitBytes ?? null,
    restarts: history.restarts(slot),
  };
}

function sizingStatus({ workers, heapBytes, cpus, why, warning, inputs }: Sizing, target: number): SizingStatus {
  const { limits, byCpus, byMemory, min, max } = inputs;
  return {
    workers,
    target,
    why,
    warning: warning ?? null,
    cpus,
    byCpus,
    byMemory: byMemory ?? null,
    minWorkers: min,
    maxWorkers: max ?? null,
    heapBytes: heapBytes ?? null,
    limits: {
      cgroup: limits.cgroup,
      quotaCores: limits.quotaCores ?? null,
      cpusetCpus: limits.cpusetCpus ?? null,
      affinityCpus: limits.affinityCpus ?? null,
      onlineCpus: limits.onlineCpus,
      memoryBytes: limits.memoryBytes ?? null,
      sources: limits.sources,
    },
  };
}

function totalsStatus({ totals }: MetricsStore): TotalsStatus {
  const by = (name: MetricName, label: string, group = (value: string): string => value): Record<string, number> => {
    const sums: Record<string, number> = {};
    for (const [, labels, count] of totals.samples(name)) {
      const value = labels[label];
      if (value === undefined) continue;
      const key = group(String(value));
      sums[key] = (sums[key] ?? 0) + count;
    }
    return sums;
  };
  return {
    requests: by('tsunicorn_http_requests_total', 'code', classOf),
    rejected: by('tsunicorn_http_requests_rejected_total', 'reason'),
    restarts: by('tsunicorn_worker_restarts_total', 'reason'),
    latency: {
      bounds: REQUEST_BUCKETS,
      counts: totals.buckets('tsunicorn_http_request_duration_seconds' satisfies MetricName, REQUEST_BUCKETS),
    },
  };
}

/** `404` is a `4xx`; what is no code stays what it is. */
function classOf(code: string): string {
  return /^\d{3}$/.test(code) ? `${code[0]}xx` : code;
}

function cgroupStatus(usage: Usage): CgroupStatus {
  return {
    cpuPeriods: usage.periods ?? null,
    cpuThrottledPeriods: usage.throttledPeriods ?? null,
    cpuThrottledSeconds: usage.throttledSeconds ?? null,
    memoryUsageBytes: usage.memoryWorkingSetBytes ?? null,
    oomKills: usage.oomKills ?? null,
  };
}

/** To the millisecond. */
function seconds(ms: number): number {
  return Math.round(ms) / 1000;
}
