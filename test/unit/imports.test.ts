/** What src/ may not import (docs/decisions/0002-memory.md). */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

/** Modules whose facade loads more than all of tsunicorn: ./node-http.ts and ./node-fs.ts of src/platform have them. */
const COSTLY = /^import (?!type )[^;]* from '(node:(?:http|fs|fs\/promises|util))'/gm;
const SRC = new URL('../../src/', import.meta.url);

test('no module of src/ imports the facade of node:http, node:fs or node:util', () => {
  const sources = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
  assert.ok(sources.includes('main.ts'));
  const found = sources.flatMap((name) =>
    [...readFileSync(new URL(name, SRC), 'utf8').matchAll(COSTLY)].map(([, module]) => `${name}: ${module}`),
  );
  assert.deepEqual(found, []);
});

test('a worker does not load prom-client, whose registry would be taken for that of the app', () => {
  const seen = new Set<string>();
  const visit = (url: URL): void => {
    if (seen.has(url.pathname)) return;
    seen.add(url.pathname);
    const source = readFileSync(url, 'utf8');
    assert.doesNotMatch(source, /^(?!import type |import \{ type ).*['"]prom-client/m, url.pathname);
    for (const [, file = ''] of source.matchAll(/^(?:import|export) (?!type )[^;]*? from '(\.[^']+)'/gm)) {
      visit(new URL(file, url));
    }
    for (const [, file = ''] of source.matchAll(/\bimport\('(\.[^']+)'\)/g)) visit(new URL(file, url));
  };
  visit(new URL('worker/run.ts', SRC));
  assert.ok(seen.has(new URL('worker/report/app-metrics.ts', SRC).pathname));
  // What loads it is found where it is.
  assert.throws(() => visit(new URL('observe/metrics/exposition.ts', SRC)), /exposition\.ts/);
});
