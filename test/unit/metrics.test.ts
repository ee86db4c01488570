import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Ledger } from '../../src/arbiter/ledger.ts';
import { Pool } from '../../src/arbiter/pool.ts';
import { METRICS, Metrics } from '../../src/observe/metrics.ts';
import { SETTINGS } from './pool-story.ts';

/** Names and labels as the contract fixes them, sections 8 and 9. */
const CONTRACT: Record<string, string[]> = {
  build_info: ['version', 'node'],
  workers: ['state'],
  worker_restarts_total: ['reason'],
  http_requests_total: ['method', 'code'],
  http_request_duration_seconds: ['method'],
  http_response_bytes_total: [],
  http_requests_in_flight: ['worker'],
  connections: ['worker'],
  http_requests_rejected_total: ['reason'],
  event_loop_lag_seconds: ['worker', 'quantile'],
  event_loop_utilization: ['worker'],
  worker_resident_memory_bytes: ['worker'],
  worker_heap_used_bytes: ['worker'],
  worker_cpu_seconds_total: ['worker'],
  worker_age_seconds: ['worker'],
  accept_queue_length: ['listener'],
  cgroup_cpu_quota_cores: [],
  cgroup_cpu_periods_total: [],
  cgroup_cpu_throttled_periods_total: [],
  cgroup_cpu_throttled_seconds_total: [],
  cgroup_memory_limit_bytes: [],
  cgroup_memory_usage_bytes: [],
  cgroup_oom_kills_total: [],
  cgroup_pressure_waiting_seconds_total: ['resource'],
  orphans_reaped_total: [],
  draining: [],
  log_lines_dropped_total: [],
};

/** Series and values of a Prometheus text. */
function series(text: string): Record<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return Object.fromEntries(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  );
}

describe('the table of metrics', () => {
  for (const [name, { type, help, labels }] of Object.entries(METRICS)) {
    it(`${name} is as the contract has it`, () => {
      assert.deepEqual([...labels], CONTRACT[name.replace(/^tsunicorn_/, '')]);
      assert.equal(type === 'counter', name.endsWith('_total'), 'counters, and they alone, end in _total');
      assert.match(help, /^[A-Z0-9].*\.$/);
    });
  }

  it('is exposed with its help and type, also what has no series yet', async () => {
    const text = await new Metrics().text();
    for (const [name, { type, help }] of Object.entries(METRICS)) {
      assert.ok(text.includes(`# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`), name);
    }
  });

  it('is Prometheus text', () => {
    assert.match(new Metrics().contentType, /^text\/plain; version=0\.0\.4/);
  });
});

describe('metrics', () => {
  it('add to counters, set gauges, forget the series of a gauge', async () => {
    const metrics = new Metrics();
    metrics.add('tsunicorn_http_requests_total', { method: 'GET', code: '200' });
    metrics.add('tsunicorn_http_requests_total', { method: 'GET', code: '200' }, 4);
    metrics.add('tsunicorn_http_requests_total', { method: 'POST', code: '500' }, 0);
    metrics.set('tsunicorn_connections', { worker: 0 }, 5);
    metrics.set('tsunicorn_connections', { worker: 1 }, 6);
    metrics.reset('tsunicorn_connections');
    metrics.set('tsunicorn_connections', { worker: 1 }, 7);
    const found = series(await metrics.text());
    assert.equal(found['tsunicorn_http_requests_total{method="GET",code="200"}'], 5);
    assert.equal(found['tsunicorn_http_requests_total{method="POST",code="500"}'], 0);
    assert.equal(found['tsunicorn_connections{worker="0"}'], undefined);
    assert.equal(found['tsunicorn_connections{worker="1"}'], 7);
  });

  it('of two servers in one process are apart', async () => {
    const [a, b] = [new Metrics(), new Metrics()];
    a.set('tsunicorn_draining', {}, 1);
    assert.equal(series(await a.text()).tsunicorn_draining, 1);
    assert.equal(series(await b.text()).tsunicorn_draining, 0);
  });

  it('keep a line whole, whatever is in a label', async () => {
    const metrics = new Metrics();
    metrics.add('tsunicorn_worker_restarts_total', { reason: 'a"\n\\b' });
    const text = await metrics.text();
    assert.ok(text.includes('tsunicorn_worker_restarts_total{reason="a\\"\\n\\\\b"} 1\n'), text);
  });

  it('never let a counter go backwards', () => {
    assert.throws(() => new Metrics().add('tsunicorn_worker_restarts_total', { reason: 'crash' }, -1));
  });
});

describe('the ledger', () => {
  const report = { requests: {}, rejected: {}, droppedLogLines: 0, inFlight: 0, connections: 0 };

  it('adds up what workers report, and keeps it when they are gone', async () => {
    const ledger = new Ledger();
    const pool = new Pool(SETTINGS);
    ledger.add(0, {
      ...report,
      requests: { 'GET 200': 3, 'POST 404': 1 },
      rejected: { timeout: 2 },
      droppedLogLines: 5,
    });
    ledger.add(1, { ...report, requests: { 'GET 200': 4 } });
    ledger.gone(0, []);
    ledger.gone(1, []);
    ledger.add(0, { ...report, requests: { 'GET 200': 1 }, rejected: { timeout: 1 } });
    ledger.restarted('crash');
    ledger.restarted('crash');
    const found = series((await ledger.scrape(pool)).text);
    assert.equal(found['tsunicorn_http_requests_total{method="GET",code="200"}'], 8);
    assert.equal(found['tsunicorn_http_requests_total{method="POST",code="404"}'], 1);
    assert.equal(found['tsunicorn_http_requests_rejected_total{reason="timeout"}'], 3);
    assert.equal(found.tsunicorn_log_lines_dropped_total, 5);
    assert.equal(found['tsunicorn_worker_restarts_total{reason="crash"}'], 2);
  });

  it('shows what is open by slot, and nothing of slots whose worker is gone', async () => {
    const ledger = new Ledger();
    ledger.add(0, { ...report, inFlight: 2, connections: 9 });
    ledger.add(1, { ...report, inFlight: 1, connections: 4 });
    assert.equal(ledger.inFlight(0), 2);
    ledger.gone(0, [{ slot: 1 }]);
    ledger.gone(1, [{ slot: 1 }]);
    assert.deepEqual([ledger.inFlight(0), ledger.latest(0)], [0, undefined]);
    const found = series((await ledger.scrape(new Pool(SETTINGS))).text);
    assert.equal(found['tsunicorn_http_requests_in_flight{worker="0"}'], undefined);
    assert.equal(found['tsunicorn_connections{worker="1"}'], 4);
  });

  it('shows workers by state, and the drain', async () => {
    const pool = new Pool({ ...SETTINGS, workers: 3, drainDelay: 5 });
    const ledger = new Ledger();
    const shown = async () => {
      const found = series((await ledger.scrape(pool)).text);
      const states = ['desired', 'booting', 'ready', 'draining'].map((s) => found[`tsunicorn_workers{state="${s}"}`]);
      return [...states, found.tsunicorn_draining];
    };
    assert.deepEqual(await shown(), [3, 0, 0, 0, 0]);
    pool.due(0);
    assert.deepEqual(await shown(), [3, 3, 0, 0, 0]);
    for (const age of [1, 2]) pool.ready(age, 0);
    pool.leave(2, 'reload');
    assert.deepEqual(await shown(), [3, 1, 2, 0, 0], 'who leaves is ready still');
    pool.broke(1, 0);
    assert.deepEqual(await shown(), [3, 1, 1, 1, 0]);
    pool.stop(0);
    assert.deepEqual(await shown(), [3, 1, 1, 1, 1]);
  });
});
