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
