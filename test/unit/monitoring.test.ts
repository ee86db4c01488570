/** The dashboard and the rules say what there is, in forms that Grafana and Prometheus take. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { grafanaDashboard, queries } from '../../scripts/monitoring/dashboard.ts';
import { ALERTS, RECORDINGS } from '../../scripts/monitoring/rules.ts';
import { SETTINGS } from '../../src/config/settings.ts';
import { variablesOf } from '../../src/config/table.ts';
import { METRICS, type MetricDefinition } from '../../src/observe/metrics/table.ts';

interface Position {
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
}

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: Position;
  readonly datasource?: { readonly uid: string };
  readonly targets?: readonly { readonly expr: string; readonly refId: string; readonly datasource: { uid: string } }[];
}

const board = JSON.parse(grafanaDashboard()) as {
  readonly schemaVersion: number;
  readonly uid: string;
  readonly id?: number;
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly name: string; readonly type: string }[] };
};
const metrics: Readonly<Record<string, MetricDefinition>> = METRICS;

test('the dashboard has a schema, an id that stays, and panels that can be told apart', () => {
  assert.ok(board.schemaVersion >= 42);
  assert.deepEqual([board.uid, board.id], ['tsunicorn', undefined]);
  assert.equal(new Set(board.panels.map(({ id }) => id)).size, board.panels.length);
  assert.ok(board.panels.length >= 20);
});

test('panels lie on the grid, and not on each other', () => {
  const taken = new Map<string, string>();
  for (const { title, gridPos } of board.panels) {
    assert.ok(gridPos.x >= 0 && gridPos.w > 0 && gridPos.h > 0 && gridPos.x + gridPos.w <= 24, title);
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
        assert.equal(taken.get(`${x},${y}`), undefined, title);
        taken.set(`${x},${y}`, title);
      }
    }
  }
});

test('every panel asks the data source that is chosen, and every variable exists', () => {
  const variables = board.templating.list.map(({ name }) => name);
  assert.deepEqual(variables, ['datasource', 'job', 'instance']);
  for (const { title, type, datasource, targets = [] } of board.panels) {
    if (type === 'row') continue;
    assert.equal(datasource?.uid, '$datasource', title);
    assert.ok(targets.length > 0, title);
    assert.equal(new Set(targets.map(({ refId }) => refId)).size, targets.length, title);
    for (const target of targets) {
      assert.equal(target.datasource.uid, '$datasource', title);
      assert.match(target.expr, /job=~"\$job", instance=~"\$instance"/, title);
      for (const [, name = ''] of target.expr.matchAll(/\$(\w+)/g)) {
        assert.ok(variables.includes(name) || name === '__rate_interval', `${title}: $${name}`);
      }
    }
  }
});

test('queries and rules ask for metrics, labels and recordings that there are', () => {
  const fromScrape = new Set(['job', 'namespace', 'pod', 'instance']);
  const recorded = new Set(RECORDINGS.map(({ record }) => record));
  const all = [...queries(), ...RECORDINGS.map(({ expr }) => expr), ...ALERTS.map(({ expr }) => expr)];
  for (const expr of all) {
    const names = [...expr.matchAll(/\b(tsunicorn[\w:]+)(?:\{([^}]*)\})?/g)];
    assert.ok(names.length > 0, expr);
    for (const [, name = '', matchers = ''] of names) {
      const metric = metrics[name] ?? metrics[name.replace(/_(bucket|sum|count)$/, '')];
      assert.ok(metric ?? recorded.has(name), `${expr}: ${name}`);
      for (const [, label = ''] of matchers.matchAll(/(\w+)=/g)) {
        assert.ok(fromScrape.has(label) || metric?.labels.includes(label), `${expr}: ${name} has no label ${label}`);
      }
      for (const [, label = '', value = ''] of matchers.matchAll(/(reason)=~?"([^"]*)"/g)) {
        for (const one of value.split('|')) assert.ok(metric?.known.includes(one), `${expr}: ${label} ${one}`);
      }
    }
  }
});

test('each alert says what is the case, where, and what to do', () => {
  assert.equal(new Set(ALERTS.map(({ alert }) => alert)).size, ALERTS.length);
  const settings = new Set<string>(variablesOf(SETTINGS));
  for (const { alert, for: time, summary, found, todo } of ALERTS) {
    assert.match(alert, /^Tsunicorn[A-Z]\w+$/);
    assert.match(time, /^[1-9]\d*m$/, alert);
    assert.match(summary, /^[A-Z].*[^.]$/, alert);
    assert.match(found, /\$labels\..*\.$/, alert);
    assert.match(todo, /^[A-Z].*\.$/, alert);
    for (const name of todo.match(/TSUNICORN_[A-Z_]*[A-Z]\b(?!_)/g) ?? []) assert.ok(settings.has(name), name);
  }
});

test('Compose mounts what Prometheus and Grafana are told to read', () => {
  const root = new URL('../../', import.meta.url);
  const read = (path: string) => readFileSync(new URL(path, root), 'utf8');
  const compose = read('compose/compose.yaml');
  assert.match(read('compose/prometheus/prometheus.yml'), /^rule_files: \[rules\/\*\.yml\]$/m);
  for (const path of ['prometheus/rules', 'grafana/provisioning', 'grafana/dashboards']) {
    assert.ok(globSync(`compose/${path}/**/*.*`, { cwd: root.pathname }).length > 0, path);
    assert.ok(compose.includes(`- ./${path}:/etc/${path}:ro`), path);
  }
  assert.match(read('compose/grafana/provisioning/dashboards/tsunicorn.yaml'), / path: \/etc\/grafana\/dashboards$/m);
  assert.match(compose, /- 127\.0\.0\.1:3000:3000/);
  assert.doesNotMatch(compose, /ADMIN_PASSWORD/);
});
