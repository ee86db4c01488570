/** Rules by promtool, each alert with what it must fire at and what not; then all queries against a real server. */
import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { queries } from '../../scripts/monitoring/dashboard.ts';
import { ALERTS, RECORDINGS } from '../../scripts/monitoring/rules.ts';
import { Load } from '../support/load.ts';
import { start } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';
import { DIRECTORY, must, ROOT, run, skipReason } from './support/machine.ts';
import { Prometheus } from './support/prometheus.ts';

const RULES = join(ROOT, 'compose/prometheus/rules/tsunicorn.yml');

/** Metric with labels → values, one every 15 s, in the notation of promtool. */
type Series = Readonly<Record<string, string>>;

interface Case {
  readonly series: Series;
  /** When it is looked at. */
  readonly at: string;
}

const workers = (ready: string, draining = '0x200'): Series => ({
  'tsunicorn_workers{state="ready"}': ready,
  'tsunicorn_workers{state="desired"}': '4x200',
  tsunicorn_draining: draining,
});
const restarts = (reason: string, values: string): Series => ({
  [`tsunicorn_worker_restarts_total{reason="${reason}"}`]: values,
});
const answers = (good: string, bad: string): Series => ({
  'tsunicorn_http_requests_total{method="GET",code="200"}': good,
  'tsunicorn_http_requests_total{method="GET",code="503"}': bad,
});
const throttled = (values: string): Series => ({
  tsunicorn_cgroup_cpu_periods_total: '0+150x200',
  tsunicorn_cgroup_cpu_throttled_periods_total: values,
});
const memory = (values: string): Series => ({
  tsunicorn_cgroup_memory_limit_bytes: '1000x200',
  tsunicorn_cgroup_memory_working_set_bytes: values,
});
const queue = (values: string): Series => ({ 'tsunicorn_accept_queue_length{listener="0.0.0.0:8000 0"}': values });
const rejected = (values: string): Series => ({ 'tsunicorn_http_requests_rejected_total{reason="overload"}': values });

const CASES: Readonly<Record<string, { readonly fires: readonly Case[]; readonly quiet: readonly Case[] }>> = {
  TsunicornNoWorkers: {
    fires: [{ series: workers('0x200'), at: '3m' }],
    quiet: [
      { series: workers('1x200'), at: '3m' },
      { series: workers('0x200'), at: '30s' },
      { series: workers('0x200', '1x200'), at: '3m' },
    ],
  },
  TsunicornWorkersMissing: {
    fires: [{ series: workers('3x200'), at: '10m' }],
    quiet: [
      { series: workers('4x200'), at: '10m' },
      { series: workers('3x200'), at: '4m' },
      { series: workers('3x200', '1x200'), at: '10m' },
    ],
  },
  TsunicornCrashLoop: {
    fires: ['crash', 'boot', 'oom'].map((reason) => ({ series: restarts(reason, '0 0+1x200'), at: '10m' })),
    quiet: [
      { series: restarts('crash', '0x20 2x180'), at: '10m' },
      { series: restarts('reload', '0 0+1x200'), at: '10m' },
      { series: restarts('max_requests', '0 0+1x200'), at: '10m' },
    ],
  },
  TsunicornStalls: {
    fires: [{ series: restarts('stall', '0x20 1x4 2x180'), at: '10m' }],
    quiet: [
      { series: restarts('stall', '0x20 1x180'), at: '10m' },
      { series: restarts('crash', '0x20 2x180'), at: '10m' },
    ],
  },
  TsunicornThrottled: {
    fires: [{ series: throttled('0+45x200'), at: '20m' }],
    quiet: [
      { series: throttled('0+30x200'), at: '20m' },
      { series: throttled('0+45x20 900x180'), at: '20m' },
    ],
  },
  TsunicornMemoryNearLimit: {
    fires: [{ series: memory('950x200'), at: '10m' }],
    quiet: [
      { series: memory('850x200'), at: '10m' },
      { series: memory('850x20 950x4 850x170'), at: '10m' },
    ],
  },
  TsunicornRecycledForSize: {
    fires: [{ series: restarts('rss', '0+1x200'), at: '20m' }],
    quiet: [
      { series: restarts('rss', '0+1x30 30x170'), at: '20m' },
      { series: restarts('rss', '0x4 1x4 2x4 3x4 4x4 5x4 6x4 7x4 8x160'), at: '10m' },
      { series: restarts('lifetime', '0+1x200'), at: '20m' },
    ],
  },
  TsunicornServerErrors: {
    fires: [
      { series: answers('0+90x200', '0+10x200'), at: '10m' },
      { series: answers('0x200', '0+1x200'), at: '10m' },
    ],
    quiet: [
      { series: answers('0+99x200', '0+1x200'), at: '10m' },
      { series: answers('0x200', '0x200'), at: '10m' },
    ],
  },
  TsunicornAcceptQueueGrows: {
    fires: [
      { series: queue('1+2x200'), at: '10m' },
      { series: queue('511x200'), at: '10m' },
    ],
    quiet: [
      { series: queue('0x200'), at: '10m' },
      { series: queue('3x200'), at: '10m' },
      { series: queue('1000-5x190'), at: '10m' },
      { series: queue('0 50 0 80 0 110 0 140 0 170 0 200 0 230 0 260 0 290 0 320'), at: '4m30s' },
    ],
  },
  TsunicornRequestsRejected: {
    fires: [{ series: rejected('0+30x200'), at: '15m' }],
    quiet: [
      { series: rejected('0+3x200'), at: '15m' },
      { series: rejected('0+30x200'), at: '3m' },
    ],
  },
  TsunicornLogLinesDropped: {
    fires: [{ series: { tsunicorn_log_lines_dropped_total: '0x20 5x180' }, at: '10m' }],
    quiet: [{ series: { tsunicorn_log_lines_dropped_total: '5x200' }, at: '10m' }],
  },
};

const KUBERNETES = 'job="shop/tsunicorn",namespace="shop",pod="shop-1",instance="10.0.0.1:10464"';
const COMPOSE = 'job="tsunicorn",instance="app:10464"';

/** Adds the labels of a scrape. */
function inputs(series: Series, scrape: string): object[] {
  return Object.entries(series).map(([name, values]) => ({
    series: name.includes('{') ? name.replace('{', `{${scrape},`) : `${name}{${scrape}}`,
    values,
  }));
}

function evaluation(alert: string, { series, at }: Case, firing: number, scrape: string): object {
  return {
    interval: '15s',
    input_series: inputs(series, scrape),
    promql_expr_test: [
      {
        expr: `count(ALERTS{alertname="${alert}", alertstate="firing"}) or vector(0)`,
        eval_time: at,
        exp_samples: [{ labels: '{}', value: firing }],
      },
    ],
  };
}

async function promtool(tests: readonly object[]): Promise<void> {
  const file = join(DIRECTORY, 'alerts-test.json');
  writeFileSync(file, JSON.stringify({ rule_files: [RULES], evaluation_interval: '15s', tests }));
  try {
    const { code, stdout, stderr } = await run('promtool', ['test', 'rules', file]);
    assert.equal(code, 0, stdout + stderr);
  } finally {
    rmSync(file);
  }
}

suite('alerts', { skip: skipReason() }, () => {
  test('promtool check rules', async () => {
    const said = await must('promtool', ['check', 'rules', '--lint=all', '--lint-fatal', RULES]);
    assert.match(said, new RegExp(`SUCCESS: ${ALERTS.length + RECORDINGS.length} rules found`));
  });

  test('every alert has cases', () => {
    assert.deepEqual(
      Object.keys(CASES),
      ALERTS.map(({ alert }) => alert),
    );
  });

  for (const [alert, { fires, quiet }] of Object.entries(CASES)) {
    test(`${alert} fires, and does not`, async () => {
      for (const scrape of [KUBERNETES, COMPOSE]) {
        await promtool([
          ...fires.map((each) => evaluation(alert, each, 1, scrape)),
          ...quiet.map((each) => evaluation(alert, each, 0, scrape)),
        ]);
      }
      const [first] = fires;
      assert.ok(first);
      await assert.rejects(promtool([evaluation(alert, first, 0, COMPOSE)]), 'promtool does look');
    });
  }

  test('an alert names the pod, or else the instance', async () => {
    const rule = ALERTS.find(({ alert }) => alert === 'TsunicornNoWorkers');
    assert.ok(rule);
    const labels = (scrape: string) =>
      Object.fromEntries([...scrape.matchAll(/(\w+)="([^"]+)"/g)].map((m) => m.slice(1)));
    await promtool(
      [
        { scrape: KUBERNETES, where: 'shop-1' },
        { scrape: COMPOSE, where: 'app:10464' },
      ].map(({ scrape, where }) => ({
        interval: '15s',
        input_series: inputs(workers('0x200'), scrape),
        alert_rule_test: [
          {
            alertname: rule.alert,
            eval_time: '3m',
            exp_alerts: [
              {
                exp_labels: { ...labels(scrape), severity: rule.severity },
                exp_annotations: {
                  summary: rule.summary,
                  description: `${where} has had no ready worker for a minute. ${rule.todo}`,
                },
              },
            ],
          },
        ],
      })),
    );
  });

  test('every query of dashboard and rules is answered from a real scrape', async (t) => {
    const server = await (await start(t, { app: 'basic.js', env: { TSUNICORN_ACCESS_LOG: 'off' } })).ready();
    const prometheus = await Prometheus.start(t, `127.0.0.1:${server.adminPort}`, [RULES]);
    await server.get('/throw');
    const load = new Load(t, { port: server.port, clients: 2, kind: 'keep-alive' });
    await waitFor('rates over the time of the load', async () => {
      const rate = await prometheus.value('sum(rate(tsunicorn_http_requests_total{code="200"}[1m]))');
      return rate > 1;
    });
    const rules = async () => {
      const all = await prometheus.rules();
      assert.equal(all.length, ALERTS.length + RECORDINGS.length);
      return all.every(({ health }) => health !== 'unknown') ? all : undefined;
    };
    for (const { name, health, lastError } of (await waitFor('all rules have run', rules)) ?? []) {
      assert.equal(health, 'ok', `${name}: ${lastError}`);
    }

    const scraped = new Set(
      (await prometheus.query('group by (__name__) ({job="tsunicorn"})')).map(({ labels }) => labels.__name__),
    );
    let answered = 0;
    for (const query of [...queries(), ...RECORDINGS.map(({ expr }) => expr), ...ALERTS.map(({ expr }) => expr)]) {
      const text = query.replaceAll('$__rate_interval', '1m').replace(/\$(job|instance)/g, '.*');
      const result = await prometheus.query(text);
      const isAlert = ALERTS.some(({ expr }) => expr === query);
      const names = query.match(/\b(tsunicorn|nodejs)[\w:]+/g) ?? [];
      // What the kernel does not give has no series, and an alert has none while all is well.
      if (isAlert || !names.every((name) => scraped.has(name))) continue;
      assert.ok(result.length > 0, text);
      answered++;
    }
    assert.ok(answered >= 20, `${answered} queries had an answer`);
    for (const { record } of RECORDINGS.slice(0, 3)) {
      await waitFor(record, async () => (await prometheus.query(record)).length > 0);
    }
    assert.deepEqual((await load.stop()).failures, {});
    assert.equal(await server.stop(), 0);
  });
});
