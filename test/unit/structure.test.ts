/** How src/ is cut: one declaration for a type name, and no file too small to be worth opening. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

const SRC = new URL('../../src/', import.meta.url).pathname;
/** The page is a bundle of its own; a file of sections/ holds one section of the settings. */
const EXCLUDED = /^(?:admin\/page|config\/sections)\//;
const MIN_CODE_LINES = 12;

const sources = globSync('**/*.ts', { cwd: SRC })
  .filter((file) => !EXCLUDED.test(file))
  .map((file) => ({ file, code: withoutComments(readFileSync(SRC + file, 'utf8')) }));

/** Good for this code base: no string of it has a comment in it. */
function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
}

test('no type, interface or class is declared twice', () => {
  const files = new Map<string, string[]>();
  for (const { file, code } of sources) {
    const declarations = code.matchAll(/^(?:export )?(?:default )?(?:abstract )?(?:type|interface|class) (\w+)\b/gm);
    for (const [, name = ''] of declarations) files.set(name, [...(files.get(name) ?? []), file]);
  }
  assert.ok(files.has('WorkerReport') && files.has('Counters') && files.has('Properties'), 'all three kinds are seen');
  assert.deepEqual(
    [...files]
      .filter(([, declared]) => declared.length > 1)
      .map(([name, declared]) => `${name}: ${declared.join(', ')}`),
    [],
  );
});

test('no file is a satellite of another', () => {
  const lines = (code: string): number => code.split('\n').filter((line) => line.trim() !== '').length;
  assert.ok(sources.length > 80);
  assert.deepEqual(
    sources.filter(({ code }) => lines(code) < MIN_CODE_LINES).map(({ file, code }) => `${file}: ${lines(code)} lines`),
    [],
  );
});
