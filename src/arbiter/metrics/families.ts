/** Everything that /metrics says: the store's counts, and the gauges of the moment. */
import type { Labels } from '../../messages.ts';
import type { Family, Sample } from '../../observe/metrics/aggregate.ts';
import { LAG_QUANTILES, METRICS, type MetricName } from '../../observe/metrics/table.ts';
import type { Usage } from '../../platform/kernel/usage.ts';
import { processMemory } from '../../platform/process-memory.ts';
import { version } from '../../version.ts';
import type { WorkerView } from '../pool/worker.ts';
import type { MetricsStore, WorkerGauges } from './store.ts';

/** As `tsunicorn_workers` has them: a worker that waits for its replacement is still ready. */
const STATE = { booting: 'booting', ready: 'ready', leaving: 'ready', draining: 'draining' } as const;

export interface MetricsSnapshot {
  readonly store: MetricsStore;
  readonly pool: { readonly target: number; readonly stopping: boolean; readonly workers: readonly WorkerView[] };
  readonly usage: Usage;
  readonly queues: ReadonlyMap<string, number>;
  readonly process: Pick<NodeJS.Process, 'memoryUsage' | 'cpuUsage' | 'version'>;
  /** Milliseconds of a monotonic clock, as in the pool. */
  readonly now: number;
}

type GaugeValue = readonly [name: MetricName, labels: Labels, value: number | undefined];

export function* families(snapshot: MetricsSnapshot): Generator<Family> {
  const states = [serverState, leaderState, workersState, arbiterProcess, kernelState].map((state) => state(snapshot));
  const gauges = Map.groupBy(
    states.flatMap((state) => [...state]),
    ([name]) => name,
  );
  for (const [name, { help, type }] of Object.entries(METRICS)) {
    const samples = samplesOf(snapshot.store.totals.samples(name), gauges.get(name as MetricName));
    yield { name, help, type, samples };
  }
  yield* snapshot.store.app.families();
}

function* samplesOf(totals: Iterable<Sample>, gauges: readonly GaugeValue[] = []): Generator<Sample> {
  yield* totals;
  for (const [, labels, value] of gauges) if (value !== undefined) yield ['', labels, value];
}

function* serverState({ pool, process }: MetricsSnapshot): Generator<GaugeValue> {
  yield ['tsunicorn_build_info', { version: version(), node: process.version }, 1];
  const states = { desired: pool.target, booting: 0, ready: 0, draining: 0 };
  // One that is not ready by its app's word is in none of these states.
  for (const { state, appReady } of pool.workers) if (STATE[state] !== 'ready' || appReady) states[STATE[state]]++;
  for (const [state, count] of Object.entries(states)) yield ['tsunicorn_workers', { state }, count];
  yield ['tsunicorn_draining', {}, pool.stopping ? 1 : 0];
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

/** Of slots whose app calls `onLeader()`: without a leader all are 0. */
function* leaderState({ pool }: MetricsSnapshot): Generator<GaugeValue> {
  const seeking = pool.workers.filter(({ lead }) => lead !== 'none');
  for (const [slot, workers] of Map.groupBy(seeking, ({ slot }) => slot)) {
    yield ['tsunicorn_leader', { worker: slot }, workers.some(({ lead }) => lead === 'held') ? 1 : 0];
  }
}

function* workersState({ pool, store, now }: MetricsSnapshot): Generator<GaugeValue> {
  const reporting = pool.workers
    .toSorted((a, b) => a.slot - b.slot || a.workerId - b.workerId)
    .flatMap(({ slot, workerId, startedAt }) => {
      const report = store.latest(workerId);
      return report ? [{ slot, startedAt, report }] : [];
    });
  for (const [slot, workers] of Map.groupBy(reporting, (worker) => worker.slot)) {
    const newest = workers.at(-1);
    if (newest === undefined) continue;
    const worker = { worker: slot };
    for (const [name, gauge] of SUMMED) yield [name, worker, workers.reduce((sum, w) => sum + w.report[gauge], 0)];
    for (const [i, quantile] of LAG_QUANTILES.entries()) {
      yield ['tsunicorn_event_loop_lag_seconds', { ...worker, quantile }, newest.report.lag[i]];
    }
    yield ['tsunicorn_event_loop_utilization', worker, newest.report.utilization];
    yield ['tsunicorn_worker_age_seconds', worker, (now - newest.startedAt) / 1000];
  }
}

function* arbiterProcess({ process }: MetricsSnapshot): Generator<GaugeValue> {
  const { rss, heapUsed } = processMemory(0, process);
  const { user, system } = process.cpuUsage();
  yield ['tsunicorn_arbiter_cpu_seconds_total', {}, (user + system) / 1e6];
  yield ['tsunicorn_arbiter_resident_memory_bytes', {}, rss];
  yield ['tsunicorn_arbiter_heap_used_bytes', {}, heapUsed];
}

function* kernelState({ usage, queues }: MetricsSnapshot): Generator<GaugeValue> {
  for (const [listener, length] of queues) yield ['tsunicorn_accept_queue_length', { listener }, length];
  yield ['tsunicorn_cgroup_cpu_quota_cores', {}, usage.quotaCores];
  yield ['tsunicorn_cgroup_cpu_periods_total', {}, usage.periods];
  yield ['tsunicorn_cgroup_cpu_throttled_periods_total', {}, usage.throttledPeriods];
  yield ['tsunicorn_cgroup_cpu_throttled_seconds_total', {}, usage.throttledSeconds];
  yield ['tsunicorn_cgroup_memory_limit_bytes', {}, usage.memoryLimitBytes];
  yield ['tsunicorn_cgroup_memory_usage_bytes', {}, usage.memoryUsageBytes];
  yield ['tsunicorn_cgroup_memory_working_set_bytes', {}, usage.memoryWorkingSetBytes];
  yield ['tsunicorn_cgroup_oom_kills_total', {}, usage.oomKills];
  for (const [resource, seconds] of Object.entries(usage.pressureSeconds)) {
    yield ['tsunicorn_cgroup_pressure_waiting_seconds_total', { resource }, seconds];
  }
}
