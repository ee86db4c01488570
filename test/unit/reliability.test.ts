/** docs/reliability.md: each row names a test, and what it says of the log and the metrics is in the text of that test. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';

const ROOT = new URL('../../', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, ROOT), 'utf8');

interface Row {
  readonly what: string;
  readonly log: string;
  readonly metrics: string;
  readonly path: string;
  readonly name: string;
}

/** The last cell: a file in backquotes, then the beginning of a test's name. */
const ROWS: readonly Row[] = [
  ...read('docs/reliability.md').matchAll(/^\| (.+?) \| .+? \| (.+?) \| (.+?) \| `([^`]+)`: (.+) \|$/gm),
].map(([, what = '', log = '', metrics = '', file = '', name = '']) => {
  return { what, log, metrics, path: file.includes('/') ? file : `test/process/${file}`, name };
});

/** What is in backquotes, piece by piece where `…` stands for what differs. */
function quoted(cell: string): string[] {
  const quotes = [...cell.matchAll(/`([^`]+)`/g)].flatMap(([, text = '']) => text.split('…'));
  return quotes.map((piece) => piece.trim()).filter((piece) => piece !== '');
}

/** As a test has it: `restarts{…}` is short for a longer name, and a label without a value may have any. */
function asSeries(metric: string): string {
  const [, reason] = /^restarts\{(\w+)\}$/.exec(metric) ?? [];
  if (reason) return `tsunicorn_worker_restarts_total{reason="${reason}"}`;
  return metric.replace(/\{(\w+)\}$/, '{$1="');
}

const named = (name: string): RegExp => new RegExp(`\\(['\`]${name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}`);

/** A file without the tests of other names: the test, and what it calls. Without backslashes, as regexps have them. */
function textOf(path: string, name: string): string {
  const lines: string[] = [];
  let end: string | undefined;
  for (const line of read(path).split('\n')) {
    const [, indent] = /^( *)(?:test|it)\(/.exec(line) ?? [];
    if (end === undefined && indent !== undefined && !named(name).test(line) && !line.endsWith(');')) {
      end = `${indent}});`;
    }
    if (end === undefined) lines.push(line);
    if (line === end) end = undefined;
  }
  return lines.join('\n').replaceAll('\\', '');
}

describe('every row of docs/reliability.md names a test that exists, and that has its words', () => {
  it('in each of its tables', () => {
    const lines = read('docs/reliability.md').split('\n');
    const rows = lines.filter((line) => /^\| (?!-|What happens)/.test(line));
    assert.equal(ROWS.length, rows.length);
  });
  for (const { what, log, metrics, path, name } of ROWS) {
    it(`${what}: ${name}`, () => {
      assert.match(read(path), named(name), `${path} has no test '${name}…'`);
      const text = textOf(path, name);
      const words = [...quoted(log), ...quoted(metrics).map(asSeries)];
      const missing = words.filter((word) => !text.includes(word));
      assert.deepEqual(missing, [], `'${name}…' in ${path} does not look for this`);
    });
  }
});
