/** What the admin address and USR2's status report show of the server. */
import type { AdminSource } from '../admin/routes.ts';
import type { SettingStatus, SizingStatus, Status, TotalsStatus, WorkerStatus } from '../admin/status.ts';
import { LAG_QUANTILES, type MetricName, REQUEST_BUCKETS } from '../observe/metrics/table.ts';
import { readUsage, type Usage } from '../platform/kernel/usage.ts';
import type { Sizing } from '../sizing.ts';
import { version } from '../version.ts';
import type { ArbiterContext } from './context.ts';
import type { ExitHistory } from './exit-history.ts';
import type { MetricsStore } from './metrics/store.ts';
import type { Pool } from './pool/pool.ts';
import type { WorkerView } from './pool/worker.ts';
import { subjectOf, type WorkerProcess } from './worker-process.ts';

/** For the stack of a worker in the status report; one that is idle has none. */
const STACK_MS = 250;

export class ArbiterAdminSource implements AdminSource {
  readonly #context: ArbiterContext;
  readonly #startedAt = performance.now();

  constructor(context: ArbiterContext) {
    this.#context = context;
  }

  readiness(): { ready: boolean; reason: string } {
    return this.#context.pool.readiness();
  }

  metrics(accept: string | undefined): Promise<{ contentType: string; text: string }> {
    return this.#answer('/metrics', () => this.#context.metrics.metrics(accept));
  }

  status(): Promise<Status> {
    return this.#answer('/status', async () => {
      const { pool, workers, listeners, metrics, history, sizer, describeSettings, process } = this.#context;
      await metrics.refresh();
      const sources = {
        pool,
        workers,
        history,
        store: metrics.store,
        sizing: sizer.inForce,
        settings: describeSettings(sizer.inForce),
        usage: readUsage(),
        listeners: listeners.urls,
        pid: process.pid,
        startedAt: this.#startedAt,
      };
      return statusOf(sources, performance.now(), new Date());
    });
  }

  /** To the server log: each worker's state, and its JavaScript stack at this moment. Asks all at once. */
  async report(): Promise<void> {
    const { pool, workers, metrics, log } = this.#context;
    const now = performance.now();
    const lines = pool.workers.map(async ({ workerId, slot, state, startedAt }) => {
      const worker = workers.get(workerId);
      const subject = worker ? subjectOf(worker) : { worker: slot, workerId };
      const activity = await worker?.activity(STACK_MS);
      const seconds = Math.round((now - startedAt) / 1000);
      return { ...subject, state, seconds, ...metrics.store.latest(workerId), ...activity };
    });
    log.info({ target: pool.target, ...pool.readiness(), workers: await Promise.all(lines) }, 'status report');
  }

  /** The client gets a 500 for a failure; the log gets its cause. */
  async #answer<T>(path: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      this.#context.failed(`answering ${path}`, error);
      throw error;
    }
  }
}

export interface StatusSources {
  readonly pool: Pick<Pool, 'workers' | 'target' | 'readiness'>;
  readonly store: MetricsStore;
  readonly history: ExitHistory;
  readonly sizing: Sizing;
  readonly usage: Usage;
  readonly settings: Readonly<Record<string, SettingStatus>>;
  readonly listeners: readonly string[];
  readonly workers: ReadonlyMap<number, Pick<WorkerProcess, 'pid' | 'heapSizeLimitBytes'>>;
  readonly pid: number;
  /** When it started, in milliseconds by the pool's clock. */
  readonly startedAt: number;
}

/** What `/status` answers. Pure; `now` in milliseconds by the pool's clock, `date` by the calendar. */
export function statusOf(sources: StatusSources, now: number, date: Date): Status {
  const { pool, history, usage } = sources;
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
    cgroup: {
      cpuPeriods: usage.periods ?? null,
      cpuThrottledPeriods: usage.throttledPeriods ?? null,
      cpuThrottledSeconds: usage.throttledSeconds ?? null,
      memoryUsageBytes: usage.memoryWorkingSetBytes ?? null,
      oomKills: usage.oomKills ?? null,
    },
    settings: sources.settings,
  };
}

const LAG_INDEX = LAG_QUANTILES.indexOf(0.99);

function workerStatus(
  { slot, workerId, state, startedAt, lead, appReady }: WorkerView,
  { store, history, workers }: StatusSources,
  now: number,
): WorkerStatus {
  const report = store.latest(workerId);
  const worker = workers.get(workerId);
  return {
    slot,
    workerId,
    state,
    appReady,
    leads: lead === 'held',
    seconds: seconds(now - startedAt),
    pid: worker?.pid ?? null,
    inFlight: report?.inFlight ?? null,
    connections: report?.connections ?? null,
    requests: report?.served ?? 0,
    eventLoopLag: report?.lag[LAG_INDEX] ?? null,
    eventLoopUtilization: report?.utilization ?? null,
    residentBytes: report?.rssBytes ?? null,
    heapUsedBytes: report?.heapUsedBytes ?? null,
    heapLimitBytes: worker?.heapSizeLimitBytes ?? null,
    restarts: history.restarts(slot),
  };
}

function sizingStatus({ workers, heapBytes, cpus, why, warning, inputs }: Sizing, target: number): SizingStatus {
  const { limits, signalled, byCpus, byMemory, min, max } = inputs;
  return {
    workers,
    target,
    signalled,
    why,
    warning: warning ?? null,
    cpus,
    byCpus,
    byMemory: byMemory ?? null,
    minWorkers: min,
    maxWorkers: max ?? null,
    heapBytes: heapBytes ?? null,
    limits: {
      ...limits,
      quotaCores: limits.quotaCores ?? null,
      cpusetCpus: limits.cpusetCpus ?? null,
      affinityCpus: limits.affinityCpus ?? null,
      memoryBytes: limits.memoryBytes ?? null,
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
    // `404` is a `4xx`; `other` stays.
    requests: by('tsunicorn_http_requests_total', 'code', (code) => (/^\d{3}$/.test(code) ? `${code[0]}xx` : code)),
    rejected: by('tsunicorn_http_requests_rejected_total', 'reason'),
    restarts: by('tsunicorn_worker_restarts_total', 'reason'),
    latency: {
      bounds: REQUEST_BUCKETS,
      counts: totals.buckets('tsunicorn_http_request_duration_seconds' satisfies MetricName, REQUEST_BUCKETS),
    },
  };
}

function seconds(ms: number): number {
  return Math.round(ms) / 1000;
}
