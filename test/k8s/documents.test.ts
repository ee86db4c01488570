/** What docs/kubernetes.md and the manifests say of tsunicorn is so. */
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { SETTINGS } from '../../src/config/settings.ts';
import { variablesOf } from '../../src/config/table.ts';
import { decideSizing } from '../../src/sizing.ts';
import { find, parse, ROOT, renderWith } from './support/manifests.ts';
import { skipReason } from './support/tools.ts';

const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const MIB = 2 ** 20;

/** Rows of the table whose head begins with `head`, as cells. */
function table(text: string, head: string): string[][] {
  const lines = text.split('\n');
  const start = lines.findIndex((line) => line.startsWith(`| ${head} |`));
  assert.ok(start >= 0, head);
  const rows = lines.slice(start + 2);
  const end = rows.findIndex((line) => !line.startsWith('|'));
  return rows.slice(0, end).map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

test('the sizing table is what tsunicorn decides', () => {
  const rows = table(read('docs/kubernetes.md'), '`limits.cpu`');
  assert.ok(rows.length >= 6);
  for (const [cpu = '', memory = '', workers, heap] of rows) {
    const [, amount, unit] = /^`(\d+)(Mi|Gi)`$/.exec(memory) ?? [];
    const cores = cpu.endsWith('m`') ? Number.parseInt(cpu.slice(1), 10) / 1000 : Number(cpu.replaceAll('`', ''));
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
        cgroup: 'v2',
        onlineCpus: 64,
        affinityCpus: 64,
        cpusetCpus: undefined,
        quotaCores: cores,
        memoryBytes: Number(amount) * MIB * (unit === 'Gi' ? 1024 : 1),
        sources: {},
      },
    );
    assert.equal(workers, String(sizing.workers), `${cpu} ${memory}`);
    assert.equal(heap, `${(sizing.heapBytes ?? 0) / MIB} MiB`, `${cpu} ${memory}`);
  }
});

test('only settings and files that exist are named', () => {
  const known = new Set(variablesOf(SETTINGS));
  const files = globSync(['k8s/**/*.{yaml,env}', 'docs/kubernetes.md'], { cwd: ROOT });
  assert.ok(files.length > 20);
  for (const file of files) {
    for (const name of read(file).match(/\bTSUNICORN_[A-Z_]*[A-Z]\b/g) ?? []) {
      assert.ok(known.has(name), `${file}: ${name}`);
    }
    for (const path of read(file).match(/\b(k8s|overlays|components)\/[\w/.-]*\w/g) ?? []) {
      const full = path.startsWith('k8s/') ? path : `k8s/${path}`;
      assert.ok(existsSync(join(ROOT, full)), `${file}: ${path}`);
    }
  }
});

suite('alerts', { skip: skipReason() }, () => {
  test('are those of Compose', async () => {
    const [compose] = await parse(read('compose/prometheus/rules/tsunicorn.yml'));
    const { spec } = find(await renderWith('base', 'monitoring'), 'PrometheusRule');
    assert.ok(compose?.groups);
    assert.deepEqual(spec, compose);
  });
});
