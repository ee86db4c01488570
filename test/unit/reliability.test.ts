import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';

const ROOT = new URL('../../', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, ROOT), 'utf8');

/** What happens, and the last cell: a file in backquotes, then the beginning of a test's name. */
const ROWS = [...read('docs/reliability.md').matchAll(/^\| (.+?) \|.*\| `([^`]+)`: (.+) \|$/gm)].map(
  ([, what = '', file = '', name = '']) => ({ what, path: file.includes('/') ? file : `test/process/${file}`, name }),
);

describe('every row of docs/reliability.md names a test that exists', () => {
  it('in each of its tables', () => {
    const lines = read('docs/reliability.md').split('\n');
    const rows = lines.filter((line) => /^\| (?!-|What happens)/.test(line));
    assert.equal(ROWS.length, rows.length);
  });
  for (const { what, path, name } of ROWS) {
    it(`${what}: ${name}`, () => assert.ok(read(path).includes(`('${name}`), `${path} has no test '${name}…'`));
  }
});
