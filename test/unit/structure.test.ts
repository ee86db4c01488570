/** A file of src/ is worth opening. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

const SRC = new URL('../../src/', import.meta.url);
/** The page is a program of its own. */
const EXCLUDED = /^admin\/page\//;
const MIN_CODE_LINES = 12;
/** Small for a reason: what the package exports, its version, and the one import of node:http (imports.test.ts). */
const MAY_BE_SMALL = ['public.ts', 'version.ts', 'platform/node-http.ts'];

const sources = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts') && !EXCLUDED.test(file))
  .map((file) => ({ file, code: withoutComments(readFileSync(new URL(file, SRC), 'utf8')) }));

/** Whole-line comments, which are all that src/ has beside those behind code. */
function withoutComments(text: string): string {
  return text.replace(/^\s*\/\*[\s\S]*?\*\/$/gm, '').replace(/^\s*\/\/.*$/gm, '');
}

test('no file is too small to be one', () => {
  const small = sources
    .filter(({ file }) => !MAY_BE_SMALL.includes(file))
    .map(({ file, code }) => ({ file, lines: code.split('\n').filter((line) => line.trim() !== '').length }))
    .filter(({ lines }) => lines < MIN_CODE_LINES);
  assert.deepEqual(small, []);
});
