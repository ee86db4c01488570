import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { families } from '../../src/arbiter/metrics/families.ts';
import { MetricsStore } from '../../src/arbiter/metrics/store.ts';
import { Pool } from '../../src/arbiter/pool/pool.ts';
import type { WorkerReport } from '../../src/messages.ts';
import { REQUEST_BUCKETS } from '../../src/observe/metrics/table.ts';
import type { Usage } from '../../src/platform/kernel/usage.ts';
import { exposed, NAMES, QUIET, series } from './metrics-kit.ts';
import { SETTINGS } from './pool-story.ts';

const UNKNOWN: Usage = {
  quotaCores: undefined,
  periods: undefined,
  throttledPeriods: undefined,
  throttledSeconds: undefined,
  memoryLimitBytes: undefined,
  memoryUsageBytes: undefined,
  memoryWorkingSetBytes: undefined,
  oomKills: undefined,
  pressureSeconds: {},
};
const ARBITER = {
  memoryUsage: Object.assign(() => ({ rss: 1, heapUsed: 2, heapTotal: 3, external: 4, arrayBuffers: 5 }), {
    rss: () => 1,
  }),
  cpuUsage: () => ({ user: 2_000_000, system: 500_000 }),
  version: 'v99.0.0',
};

/** A store with its pool, and what a scrape says. */
class Fixture {
  readonly store = new MetricsStore(() => {});
  readonly pool: Pool;
  now = 0;

  constructor(workers = 2) {
    this.pool = new Pool({ ...SETTINGS, workers, drainDelay: 5 }, () => 0);
  }

  text(usage: Partial<Usage> = {}, queues = new Map<string, number>()): Promise<string> {
    const { store, pool, now } = this;
    const scene = { store, pool, usage: { ...UNKNOWN, ...usage }, queues, process: ARBITER, now };
    return exposed(families(scene));
  }

  get found(): Promise<Record<string, number>> {
    return this.text().then(series);
  }

  report(slot: number, workerId: number, report: Partial<WorkerReport>): void {
    this.store.add({ slot, workerId }, { ...QUIET, ...report });
  }
}

const buckets = (count: number) => REQUEST_BUCKETS.map(() => count).concat(count);

describe('the store', () => {
  it('adds up what workers report, and keeps it when they are gone', async () => {
    const fixture = new Fixture();
    const get = { codes: { 200: 3 }, buckets: buckets(1), seconds: 1.5 };
    fixture.report(0, 1, {
      requests: { GET: get, POST: { codes: { 404: 1 }, buckets: [1], seconds: 0.25 } },
      rejected: { timeout: 2 },
      droppedLogLines: 5,
      sentBytes: 1000,
      cpu: { user: 1, system: 0.5 },
      gc: { minor: { buckets: [2, 1, 0, 0, 0], seconds: 0.004 } },
    });
    fixture.report(1, 2, { requests: { GET: get }, cpu: { user: 7, system: 0 } });
    fixture.store.gone({ slot: 0, workerId: 1 });
    fixture.store.gone({ slot: 1, workerId: 2 });
    fixture.report(0, 3, {
      requests: { GET: get },
      rejected: { timeout: 1 },
      sentBytes: 24,
      cpu: { user: 0.25, system: 0.25 },
      gc: { minor: { buckets: [1, 0, 0, 0, 0], seconds: 0.001 } },
    });
    fixture.store.restarted('crash');
    fixture.store.restarted('crash');
    fixture.store.orphanReaped();
    const found = await fixture.found;
    assert.equal(found['tsunicorn_http_requests_total{method="GET",code="200"}'], 9);
    assert.equal(found['tsunicorn_http_requests_total{method="POST",code="404"}'], 1);
    const duration = 'tsunicorn_http_request_duration_seconds';
    assert.equal(found[`${duration}_bucket{method="GET",le="0.001"}`], 3);
    assert.equal(found[`${duration}_bucket{method="GET",le="0.0025"}`], 6);
    assert.equal(found[`${duration}_bucket{method="GET",le="+Inf"}`], 45);
    assert.equal(found[`${duration}_count{method="GET"}`], 45);
    assert.equal(found[`${duration}_sum{method="GET"}`], 4.5);
    assert.equal(found['tsunicorn_http_requests_rejected_total{reason="timeout"}'], 3);
    assert.equal(found.tsunicorn_log_lines_dropped_total, 5);
    assert.equal(found.tsunicorn_http_response_bytes_total, 1024);
    assert.equal(found['tsunicorn_worker_restarts_total{reason="crash"}'], 2);
    assert.equal(found['tsunicorn_worker_restarts_total{reason="oom"}'], 0);
    assert.equal(found.tsunicorn_orphans_reaped_total, 1);
    assert.equal(found['tsunicorn_worker_cpu_seconds_total{worker="0"}'], 2, 'the slot goes on where it was');
    assert.equal(found['tsunicorn_worker_cpu_seconds_total{worker="1"}'], 7);
    assert.equal(found.tsunicorn_arbiter_cpu_seconds_total, 2.5);
    assert.equal(found.tsunicorn_arbiter_resident_memory_bytes, 1);
    assert.equal(found.tsunicorn_arbiter_heap_used_bytes, 2);
    assert.equal(found['tsunicorn_worker_gc_duration_seconds_bucket{worker="0",kind="minor",le="0.001"}'], 3);
    assert.equal(found['tsunicorn_worker_gc_duration_seconds_count{worker="0",kind="minor"}'], 4);
  });

  it('never lets a counter go backwards', () => {
    const { store } = new Fixture();
    for (const by of [-1, Number.NaN]) assert.throws(() => store.totals.add('a_total', {}, by), RangeError);
  });

  it('shows by slot what is open: of both workers while one takes over, of none where there is none', async () => {
    const fixture = new Fixture();
    fixture.pool.due(0);
    for (const workerId of [1, 2]) fixture.pool.ready(workerId, 0);
    fixture.report(0, 1, { inFlight: 2, connections: 9, rssBytes: 100, lag: [1, 2, 3, 4], utilization: 0.9 });
    fixture.report(1, 2, { inFlight: 1, connections: 4 });
    fixture.now = 5_000;
    assert.equal((await fixture.found)['tsunicorn_worker_age_seconds{worker="0"}'], 5);
    fixture.pool.leave(1);
    fixture.pool.due(5_000);
    fixture.pool.ready(3, 5_000);
    fixture.pool.due(5_000);
    assert.equal(
      (await fixture.found)['tsunicorn_worker_age_seconds{worker="0"}'],
      5,
      'the newest has not said a word yet',
    );
    fixture.report(0, 3, { inFlight: 1, connections: 1, rssBytes: 50, lag: [0.1, 0.2, 0.3, 0.4], utilization: 0.1 });
    fixture.now = 7_000;
    const found = await fixture.found;
    assert.equal(found['tsunicorn_http_requests_in_flight{worker="0"}'], 3);
    assert.equal(found['tsunicorn_connections{worker="0"}'], 10);
    assert.equal(found['tsunicorn_worker_resident_memory_bytes{worker="0"}'], 150);
    assert.equal(found['tsunicorn_event_loop_lag_seconds{worker="0",quantile="0.99"}'], 0.3);
    assert.equal(found['tsunicorn_event_loop_utilization{worker="0"}'], 0.1);
    assert.equal(found['tsunicorn_worker_age_seconds{worker="0"}'], 2);
    assert.equal(found['tsunicorn_worker_heap_total_bytes{worker="0"}'], 20e6);
    assert.equal(found['tsunicorn_worker_external_memory_bytes{worker="0"}'], 4e6);
    assert.equal(found['tsunicorn_connections{worker="1"}'], 4);
    for (const workerId of [1, 3]) {
      fixture.pool.exited(workerId, { why: 'SIGKILL', fatal: false }, 7_000);
      fixture.store.gone({ slot: 0, workerId });
    }
    assert.equal((await fixture.found)['tsunicorn_connections{worker="0"}'], undefined);
    assert.equal(fixture.store.latest(1), undefined);
  });

  it('shows workers by state, and the drain', async () => {
    const fixture = new Fixture(3);
    const { pool } = fixture;
    const shown = async () => {
      const found = await fixture.found;
      const states = ['desired', 'booting', 'ready', 'draining'].map((s) => found[`tsunicorn_workers{state="${s}"}`]);
      return [...states, found.tsunicorn_draining];
    };
    assert.deepEqual(await shown(), [3, 0, 0, 0, 0]);
    pool.due(0);
    assert.deepEqual(await shown(), [3, 3, 0, 0, 0]);
    for (const workerId of [1, 2]) pool.ready(workerId, 0);
    pool.leave(2);
    assert.deepEqual(await shown(), [3, 1, 2, 0, 0], 'who leaves is ready still');
    pool.crashing(1, 'thrown', 0);
    assert.deepEqual(await shown(), [3, 1, 1, 1, 0]);
    pool.stop(0);
    assert.deepEqual(await shown(), [3, 1, 1, 1, 1]);
  });

  it('says what the kernel says, and nothing where it says nothing', async () => {
    const fixture = new Fixture();
    const silent = await fixture.text();
    for (const name of NAMES) assert.ok(silent.includes(`# TYPE ${name} `), name);
    assert.doesNotMatch(silent, /^tsunicorn_(cgroup|accept)/m);
    const found = series(
      await fixture.text(
        { quotaCores: 1.5, throttledSeconds: 0, pressureSeconds: { cpu: 2 } },
        new Map([['a:80/0', 4]]),
      ),
    );
    assert.equal(found.tsunicorn_cgroup_cpu_quota_cores, 1.5);
    assert.equal(found.tsunicorn_cgroup_cpu_throttled_seconds_total, 0);
    assert.equal(found['tsunicorn_cgroup_pressure_waiting_seconds_total{resource="cpu"}'], 2);
    assert.equal(found['tsunicorn_accept_queue_length{listener="a:80/0"}'], 4);
  });
});
