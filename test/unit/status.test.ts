/** How the answer of /status is put together, and what is kept of workers that ended. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type StatusSources, statusOf } from '../../src/arbiter/admin-source.ts';
import { ExitHistory, type WorkerExit } from '../../src/arbiter/exit-history.ts';
import { MetricsStore } from '../../src/arbiter/metrics/store.ts';
import { Pool } from '../../src/arbiter/pool/pool.ts';
import { REQUEST_BUCKETS } from '../../src/observe/metrics/table.ts';
import type { Usage } from '../../src/platform/kernel/usage.ts';
import { decideSizing } from '../../src/sizing.ts';
import { version } from '../../src/version.ts';
import { QUIET } from './metrics-kit.ts';
import { SETTINGS } from './pool-story.ts';

const MIB = 2 ** 20;
const DATE = new Date('2026-01-01T00:00:00Z');
const NO_USAGE: Usage = {
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
const sizing = decideSizing(
  {
    workers: 'auto',
    workersPerCpu: 1,
    minWorkers: 1,
    maxWorkers: undefined,
    workerMemory: 128 * MIB,
    workerHeap: 'auto',
    maxWorkerRss: 'auto',
  },
  {
    onlineCpus: 8,
    affinityCpus: 8,
    cpusetCpus: undefined,
    quotaCores: 1.5,
    memoryBytes: 512 * MIB,
    cgroup: 'v2',
    sources: { quota: '/sys/fs/cgroup/cpu.max' },
  },
);

function world(change: Partial<StatusSources> = {}): StatusSources {
  return {
    pool: new Pool(SETTINGS, Math.random),
    store: new MetricsStore(() => {}),
    history: new ExitHistory(),
    sizing,
    usage: NO_USAGE,
    settings: { TSUNICORN_WORKERS: { value: '2', origin: 'cgroup' } },
    listeners: ['http://0.0.0.0:8000'],
    workers: new Map(),
    pid: 42,
    startedAt: 1_000,
    ...change,
  };
}

describe('/status', () => {
  it('of a server that has just started', () => {
    const status = statusOf(world(), 3_500.6, DATE);
    assert.equal(status.time, '2026-01-01T00:00:00.000Z');
    assert.equal(status.pid, 42);
    assert.equal(status.seconds, 2.501);
    assert.deepEqual(status.versions, { tsunicorn: version(), node: process.version });
    assert.deepEqual(status.readiness, { ready: false, reason: 'starting: 0 of 2 workers are ready' });
    assert.deepEqual([status.workers, status.exits], [[], []]);
    assert.deepEqual(status.cgroup, {
      cpuPeriods: null,
      cpuThrottledPeriods: null,
      cpuThrottledSeconds: null,
      memoryUsageBytes: null,
      oomKills: null,
    });
    assert.deepEqual(status.settings, { TSUNICORN_WORKERS: { value: '2', origin: 'cgroup' } });
  });

  it('is JSON without loss', () => {
    const status = statusOf(world(), 2_000, DATE);
    assert.deepEqual(JSON.parse(JSON.stringify(status)), status);
  });

  it('has the sizing with its inputs', () => {
    assert.deepEqual(statusOf(world(), 2_000, DATE).sizing, {
      workers: 2,
      target: 2,
      signalled: false,
      why: sizing.why,
      warning: null,
      cpus: 1.5,
      byCpus: 2,
      byMemory: 3,
      minWorkers: 1,
      maxWorkers: null,
      heapBytes: 168 * MIB,
      limits: {
        cgroup: 'v2',
        quotaCores: 1.5,
        cpusetCpus: null,
        affinityCpus: 8,
        onlineCpus: 8,
        memoryBytes: 512 * MIB,
        sources: { quota: '/sys/fs/cgroup/cpu.max' },
      },
    });
    const pool = new Pool(SETTINGS, Math.random);
    pool.resize(3);
    assert.deepEqual(statusOf(world({ pool }), 2_000, DATE).sizing.target, 3);
  });

  it('has the workers by slot, with what they reported and what their process is', () => {
    const pool = new Pool(SETTINGS, Math.random);
    const store = new MetricsStore(() => {});
    pool.due(1_000);
    for (const workerId of [1, 2]) pool.ready(workerId, 1_200);
    for (const workerId of [1, 2]) pool.seekLead(workerId);
    pool.setReady(1, false);
    pool.due(1_300);
    pool.leave(1);
    pool.due(4_000); // spawns workerId 3 for slot 0
    store.add(
      { slot: 0, workerId: 1 },
      { ...QUIET, inFlight: 2, connections: 9, served: 700, utilization: 0.25, rssBytes: 80, lag: [1, 2, 3, 4] },
    );
    const running = new Map([[1, { pid: 101, heapSizeLimitBytes: 224 * MIB }]]);
    const { workers } = statusOf(world({ pool, store, workers: running }), 5_000, DATE);
    assert.deepEqual(
      workers.map(({ slot, workerId, state, seconds }) => [slot, workerId, state, seconds]),
      [
        [0, 1, 'leaving', 4],
        [0, 3, 'booting', 1],
        [1, 2, 'ready', 4],
      ],
    );
    assert.deepEqual(workers[0], {
      slot: 0,
      workerId: 1,
      state: 'leaving',
      appReady: false,
      leads: true,
      seconds: 4,
      pid: 101,
      inFlight: 2,
      connections: 9,
      requests: 700,
      eventLoopLag: 3,
      eventLoopUtilization: 0.25,
      residentBytes: 80,
      heapUsedBytes: QUIET.heapUsedBytes,
      heapLimitBytes: 224 * MIB,
      restarts: 0,
    });
    const { pid, inFlight, requests, eventLoopLag, residentBytes, heapLimitBytes } = workers[1] ?? {};
    assert.deepEqual(
      [pid, inFlight, requests, eventLoopLag, residentBytes, heapLimitBytes],
      [null, null, 0, null, null, null],
    );
  });

  it('has what was counted, over all methods and by class of code', () => {
    const store = new MetricsStore(() => {});
    const durations = (bucket: number, count: number) => ({
      buckets: [...REQUEST_BUCKETS, 0].map((_, i) => (i === bucket ? count : 0)),
      seconds: 1,
    });
    store.add(
      { slot: 0, workerId: 1 },
      {
        ...QUIET,
        requests: {
          GET: { codes: { '200': 5, '204': 1, '404': 2, other: 1 }, ...durations(0, 9) },
          POST: { codes: { '201': 3, '503': 4 }, ...durations(14, 7) },
        },
        rejected: { timeout: 4 },
      },
    );
    store.restarted('crash');
    const { totals } = statusOf(world({ store }), 2_000, DATE);
    assert.deepEqual(totals.requests, { '2xx': 9, '4xx': 2, '5xx': 4, other: 1 });
    assert.equal(totals.rejected.timeout, 4);
    assert.equal(totals.restarts.crash, 1);
    assert.deepEqual(totals.latency, { bounds: REQUEST_BUCKETS, counts: durations(0, 9).buckets.with(14, 7) });
  });

  it('has what the kernel counts', () => {
    const usage = { ...NO_USAGE, periods: 10, throttledPeriods: 4, throttledSeconds: 0.5, memoryWorkingSetBytes: 7 };
    assert.deepEqual(statusOf(world({ usage: { ...usage, oomKills: 1 } }), 2_000, DATE).cgroup, {
      cpuPeriods: 10,
      cpuThrottledPeriods: 4,
      cpuThrottledSeconds: 0.5,
      memoryUsageBytes: 7,
      oomKills: 1,
    });
  });
});

describe('the history of exits', () => {
  const exit: WorkerExit = {
    slot: 1,
    workerId: 7,
    pid: 77,
    how: 'exit code 1',
    cause: undefined,
    why: 'exit code 1',
    fatal: false,
    interrupted: false,
    exit: undefined,
    message: undefined,
    stack: undefined,
  };
  const end = { reason: 'crash' as const, seconds: 12.34567, date: DATE };

  it('tells how a worker ended, and what it said', () => {
    const history = new ExitHistory();
    history.add({ ...exit, message: 'boom', stack: 'Error: boom\n    at app.js' }, end);
    history.add(
      { ...exit, workerId: 8, how: 'SIGKILL', message: 'silent for 30 s', stack: 'at spin' },
      { ...end, reason: 'stall' },
    );
    history.add({ ...exit, workerId: 9, pid: undefined, how: 'exit code 0' }, { ...end, reason: undefined });
    const time = '2026-01-01T00:00:00.000Z';
    const common = { time, slot: 1, seconds: 12.346 };
    assert.deepEqual(history.exits, [
      { ...common, workerId: 9, pid: null, reason: null, how: 'exit code 0', message: null, stack: null },
      {
        ...common,
        workerId: 8,
        pid: 77,
        reason: 'stall',
        how: 'SIGKILL',
        message: 'silent for 30 s',
        stack: 'at spin',
      },
      {
        ...common,
        workerId: 7,
        pid: 77,
        reason: 'crash',
        how: 'exit code 1',
        message: 'boom',
        stack: 'Error: boom\n    at app.js',
      },
    ]);
  });

  it('counts the replacements of each slot, and not the exits of surplus workers', () => {
    const history = new ExitHistory();
    history.add(exit, end);
    history.add({ ...exit, slot: 0 }, { ...end, reason: 'reload' });
    history.add(exit, { ...end, reason: 'stall' });
    history.add(exit, { ...end, reason: undefined });
    assert.deepEqual([history.restarts(0), history.restarts(1), history.restarts(2)], [1, 2, 0]);
  });

  it('is bounded, however many workers end and however much they say', () => {
    const history = new ExitHistory();
    for (let workerId = 1; workerId <= 1_000; workerId++) {
      history.add({ ...exit, workerId, message: 'x'.repeat(1e5), stack: 'y'.repeat(1e5) }, end);
    }
    const { exits } = history;
    assert.equal(exits.length, 24);
    assert.equal(exits[0]?.workerId, 1_000);
    assert.equal(exits.at(-1)?.workerId, 977);
    assert.ok(JSON.stringify(exits).length < 24 * 5_000);
    assert.match(exits[0]?.stack ?? '', /^y+…$/);
    assert.equal(history.restarts(1), 1_000);
  });
});
