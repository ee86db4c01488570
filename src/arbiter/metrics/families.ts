/** Everything that /metrics says: the store's counts, and the gauges of the moment. */
import type { Labels } from '../../messages.ts';
import type { Family, Sample, Totals } from '../../observe/metrics/aggregate.ts';
import { LAG_QUANTILES, METRICS, type MetricName } from '../../observe/metrics/table.ts';
import type { Usage } from '../../platform/kernel/usage.ts';
import { version } from '../../version.ts';
import type { WorkerView } from '../pool/decisions.ts';
import type { MetricsStore, WorkerGauges } from './store.ts';

/** As `tsunicorn_workers` has them: a worker that waits for its replacement is still ready. */
const STATE = { booting: 'booting', ready: 'ready', leaving: 'ready', draining: 'draining' } as const;

export interface MetricsSnapshot {
  readonly store: MetricsStore;
  readonly pool: { readonly target: number; readonly stopping: boolean; readonly workers: readonly WorkerView[] };
  readonly usage: Usage;
  /** Connections that wait to be accepted, by listener. */
  readonly queues: ReadonlyMap<string, number>;
  /** The arbiter's. */
  readonly process: Pick<NodeJS.Process, 'memoryUsage' | 'cpuUsage' | 'version'>;
  /** Milliseconds of a monotonic clock, as in the pool. */
  readonly now: number;
}

/** Made anew for each scrape. */
class Gauges {
  readonly #samples = new Map<string, Sample[]>();

  set(name: MetricName, labels: Labels, value: number | undefined): void {
    if (value === undefined) return;
    const samples = this.#samples.get(name) ?? [];
    samples.push(['', labels, value]);
    this.#samples.set(name, samples);
  }

  samples(name: string): Sample[] {
    return this.#samples.get(name) ?? [];
  }
}

export function* families(snapshot: MetricsSnapshot): Generator<Family> {
  const gauges = new Gauges();
  serverState(snapshot, gauges);
  workersState(snapshot, gauges);
  arbiterProcess(snapshot, gauges);
  kernelState(snapshot, gauges);
  for (const [name, { help, type }] of Object.entries(METRICS)) {
    yield { name, help, type, samples: both(snapshot.store.totals, gauges, name) };
  }
  yield* snapshot.store.app.families();
}

function* both(totals: Totals, gauges: Gauges, name: string): Generator<Sample> {
  yield* totals.samples(name);
  yield* gauges.samples(name);
}

function serverState({ pool, process }: MetricsSnapshot, gauges: Gauges): void {
  gauges.set('tsunicorn_build_info', { version: version(), node: process.version }, 1);
  const states = { desired: pool.target, booting: 0, ready: 0, draining: 0 };
  for (const { state } of pool.workers) states[STATE[state]]++;
  for (const [state, count] of Object.entries(states)) gauges.set('tsunicorn_workers', { state }, count);
  gauges.set('tsunicorn_draining', {}, pool.stopping ? 1 : 0);
}

/** Over the workers of a slot, while one takes over from another. */
const SUMMED: readonly (readonly [MetricName, Exclude<keyof WorkerGauges, 'lag'>])[] = [
  ['tsunicorn_http_requests_in_flight', 'inFlight'],
  ['tsunicorn_connections', 'connections'],
  ['tsunicorn_worker_resident_memory_bytes', 'rssBytes'],
  ['tsunicorn_worker_heap_used_bytes', 'heapUsedBytes'],
  ['tsunicorn_worker_heap_total_bytes', 'heapTotalBytes'],
  ['tsunicorn_worker_external_memory_bytes', 'externalBytes'],
];

function workersState({ pool, store, now }: MetricsSnapshot, gauges: Gauges): void {
  for (const [slot, workers] of bySlot(pool.workers)) {
    const worker = { worker: slot };
    const reported = workers.filter(({ workerId }) => store.latest(workerId));
    const reports = reported.map(({ workerId }) => store.latest(workerId)).filter((report) => report !== undefined);
    const [newest, last] = [reported.at(-1), reports.at(-1)];
    if (newest === undefined || last === undefined) continue;
    for (const [name, gauge] of SUMMED) {
      const sum = reports.reduce((total, report) => total + report[gauge], 0);
      gauges.set(name, worker, sum);
    }
    for (const [i, quantile] of LAG_QUANTILES.entries()) {
      gauges.set('tsunicorn_event_loop_lag_seconds', { ...worker, quantile }, last.lag[i]);
    }
    gauges.set('tsunicorn_event_loop_utilization', worker, last.utilization);
    gauges.set('tsunicorn_worker_age_seconds', worker, (now - newest.startedAt) / 1000);
  }
}

/** The workers of each slot, the oldest first. */
function bySlot(workers: readonly WorkerView[]): Map<number, WorkerView[]> {
  return Map.groupBy(
    workers.toSorted((a, b) => a.slot - b.slot || a.workerId - b.workerId),
    ({ slot }) => slot,
  );
}

function arbiterProcess({ process }: MetricsSnapshot, gauges: Gauges): void {
  const { rss, heapUsed } = process.memoryUsage();
  const { user, system } = process.cpuUsage();
  gauges.set('tsunicorn_arbiter_cpu_seconds_total', {}, (user + system) / 1e6);
  gauges.set('tsunicorn_arbiter_resident_memory_bytes', {}, rss);
  gauges.set('tsunicorn_arbiter_heap_used_bytes', {}, heapUsed);
}

function kernelState({ usage, queues }: MetricsSnapshot, gauges: Gauges): void {
  for (const [listener, length] of queues) gauges.set('tsunicorn_accept_queue_length', { listener }, length);
  gauges.set('tsunicorn_cgroup_cpu_quota_cores', {}, usage.quotaCores);
  gauges.set('tsunicorn_cgroup_cpu_periods_total', {}, usage.periods);
  gauges.set('tsunicorn_cgroup_cpu_throttled_periods_total', {}, usage.throttledPeriods);
  gauges.set('tsunicorn_cgroup_cpu_throttled_seconds_total', {}, usage.throttledSeconds);
  gauges.set('tsunicorn_cgroup_memory_limit_bytes', {}, usage.memoryLimitBytes);
  gauges.set('tsunicorn_cgroup_memory_usage_bytes', {}, usage.memoryUsageBytes);
  gauges.set('tsunicorn_cgroup_memory_working_set_bytes', {}, usage.memoryWorkingSetBytes);
  gauges.set('tsunicorn_cgroup_oom_kills_total', {}, usage.oomKills);
  for (const [resource, seconds] of Object.entries(usage.pressureSeconds)) {
    gauges.set('tsunicorn_cgroup_pressure_waiting_seconds_total', { resource }, seconds);
  }
}
