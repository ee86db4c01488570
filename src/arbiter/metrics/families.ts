/** Everything that /metrics says: the store's counts, and the state of the moment. */
import type { Labels } from '../../messages.ts';
import type { Family, Sample, Totals } from '../../observe/metrics/aggregate.ts';
import { LAG_QUANTILES, METRICS, type MetricName } from '../../observe/metrics/table.ts';
import type { Usage } from '../../platform/kernel/usage.ts';
import { version } from '../../version.ts';
import type { WorkerView } from '../pool/decisions.ts';
import type { MetricsStore, Present } from './store.ts';

/** States as `tsunicorn_workers` has them; a worker that waits for its replacement is still ready. */
const STATE = { booting: 'booting', ready: 'ready', leaving: 'ready', draining: 'draining' } as const;

export interface Scene {
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

/** What is neither counted by workers nor kept: made anew for each scrape. */
class Moment {
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

export function* families(scene: Scene): Generator<Family> {
  const moment = new Moment();
  serverState(scene, moment);
  workersState(scene, moment);
  arbiterProcess(scene, moment);
  kernelState(scene, moment);
  for (const [name, { help, type }] of Object.entries(METRICS)) {
    yield { name, help, type, samples: both(scene.store.totals, moment, name) };
  }
  yield* scene.store.app.families();
}

function* both(totals: Totals, moment: Moment, name: string): Generator<Sample> {
  yield* totals.samples(name);
  yield* moment.samples(name);
}

function serverState({ pool, process }: Scene, moment: Moment): void {
  moment.set('tsunicorn_build_info', { version: version(), node: process.version }, 1);
  const states = { desired: pool.target, booting: 0, ready: 0, draining: 0 };
  for (const { state } of pool.workers) states[STATE[state]]++;
  for (const [state, count] of Object.entries(states)) moment.set('tsunicorn_workers', { state }, count);
  moment.set('tsunicorn_draining', {}, pool.stopping ? 1 : 0);
}

function workersState({ pool, store, now }: Scene, moment: Moment): void {
  for (const [slot, workers] of bySlot(pool.workers)) {
    const worker = { worker: slot };
    const present = workers.map(({ workerId }) => store.latest(workerId)).filter((p) => p !== undefined);
    const newest = workers.findLast(({ workerId }) => store.latest(workerId));
    const last = present.at(-1);
    if (newest === undefined || last === undefined) continue;
    const sum = (value: (p: Present) => number): number => present.reduce((total, p) => total + value(p), 0);
    moment.set(
      'tsunicorn_http_requests_in_flight',
      worker,
      sum((p) => p.inFlight),
    );
    moment.set(
      'tsunicorn_connections',
      worker,
      sum((p) => p.connections),
    );
    moment.set(
      'tsunicorn_worker_resident_memory_bytes',
      worker,
      sum((p) => p.rssBytes),
    );
    moment.set(
      'tsunicorn_worker_heap_used_bytes',
      worker,
      sum((p) => p.heapUsedBytes),
    );
    moment.set(
      'tsunicorn_worker_heap_total_bytes',
      worker,
      sum((p) => p.heapTotalBytes),
    );
    moment.set(
      'tsunicorn_worker_external_memory_bytes',
      worker,
      sum((p) => p.externalBytes),
    );
    for (const [i, quantile] of LAG_QUANTILES.entries()) {
      moment.set('tsunicorn_event_loop_lag_seconds', { ...worker, quantile }, last.lag[i]);
    }
    moment.set('tsunicorn_event_loop_utilization', worker, last.utilization);
    moment.set('tsunicorn_worker_age_seconds', worker, (now - newest.startedAt) / 1000);
  }
}

/** The workers of each slot, the oldest first. */
function bySlot(workers: readonly WorkerView[]): Map<number, WorkerView[]> {
  return Map.groupBy(
    workers.toSorted((a, b) => a.slot - b.slot || a.workerId - b.workerId),
    ({ slot }) => slot,
  );
}

function arbiterProcess({ process }: Scene, moment: Moment): void {
  const { rss, heapUsed } = process.memoryUsage();
  const { user, system } = process.cpuUsage();
  moment.set('tsunicorn_arbiter_cpu_seconds_total', {}, (user + system) / 1e6);
  moment.set('tsunicorn_arbiter_resident_memory_bytes', {}, rss);
  moment.set('tsunicorn_arbiter_heap_used_bytes', {}, heapUsed);
}

function kernelState({ usage, queues }: Scene, moment: Moment): void {
  for (const [listener, length] of queues) moment.set('tsunicorn_accept_queue_length', { listener }, length);
  moment.set('tsunicorn_cgroup_cpu_quota_cores', {}, usage.quotaCores);
  moment.set('tsunicorn_cgroup_cpu_periods_total', {}, usage.periods);
  moment.set('tsunicorn_cgroup_cpu_throttled_periods_total', {}, usage.throttledPeriods);
  moment.set('tsunicorn_cgroup_cpu_throttled_seconds_total', {}, usage.throttledSeconds);
  moment.set('tsunicorn_cgroup_memory_limit_bytes', {}, usage.memoryLimitBytes);
  moment.set('tsunicorn_cgroup_memory_usage_bytes', {}, usage.memoryUsageBytes);
  moment.set('tsunicorn_cgroup_memory_working_set_bytes', {}, usage.memoryWorkingSetBytes);
  moment.set('tsunicorn_cgroup_oom_kills_total', {}, usage.oomKills);
  for (const [resource, seconds] of Object.entries(usage.pressureSeconds)) {
    moment.set('tsunicorn_cgroup_pressure_waiting_seconds_total', { resource }, seconds);
  }
}
