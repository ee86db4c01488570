import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { initialSeries, METRICS, type MetricDefinition, SCOPES } from '../../src/observe/metrics/table.ts';
import type { Refusal } from '../../src/worker/http/error-responses.ts';

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

/** A name that is missing or too much does not compile. */
const REFUSALS: Record<Refusal, true> = {
  uri_too_long: true,
  too_many_fields: true,
  body_too_large: true,
  timeout: true,
  malformed: true,
  overload: true,
  no_websocket: true,
};

const ROWS = Object.entries<MetricDefinition>(METRICS);

describe('the table of metrics', () => {
  for (const [name, labels] of Object.entries(CONTRACT)) {
    it(`has ${name} as the contract has it`, () => {
      assert.deepEqual(
        [...((METRICS as Record<string, MetricDefinition>)[`tsunicorn_${name}`]?.labels ?? ['missing'])],
        labels,
      );
    });
  }

  for (const [name, { type, help, labels, scope, bounds }] of ROWS) {
    it(`${name} keeps to the conventions`, () => {
      assert.match(name, /^tsunicorn_[a-z_]+$/);
      assert.equal(type === 'counter', name.endsWith('_total'), 'counters, and they alone, end in _total');
      assert.match(help, /^[A-Z0-9].*\.$/);
      assert.equal(bounds !== undefined, type === 'histogram');
      assert.equal(scope === 'slot' || scope === 'newest', labels.includes('worker'));
      assert.ok(SCOPES[scope].text.endsWith('.'));
      for (const bound of bounds?.keys() ?? [])
        assert.ok(bound === 0 || (bounds?.[bound] ?? 0) > (bounds?.[bound - 1] ?? 0));
    });
  }

  it('begins at 0 where the labels are known', () => {
    assert.deepEqual(initialSeries(METRICS.tsunicorn_http_response_bytes_total), [{}]);
    assert.deepEqual(initialSeries(METRICS.tsunicorn_worker_restarts_total).slice(0, 2), [
      { reason: 'crash' },
      { reason: 'stall' },
    ]);
    const refusals = Object.keys(REFUSALS).map((reason) => ({ reason }));
    assert.deepEqual(initialSeries(METRICS.tsunicorn_http_requests_rejected_total), refusals);
    assert.deepEqual(initialSeries(METRICS.tsunicorn_cgroup_oom_kills_total), [], 'the kernel says what it is');
    assert.deepEqual(initialSeries(METRICS.tsunicorn_arbiter_cpu_seconds_total), [], 'each scrape has its value');
    assert.deepEqual(initialSeries(METRICS.tsunicorn_draining), []);
  });
});
