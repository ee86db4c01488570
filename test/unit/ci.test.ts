/** What `.ci/run` says of a failure, from the output of the real test runner. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

const FAILING = `
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
test('fine', () => {});
test('numbers', () => assert.equal(1, 2));
describe('inner', () => test('words', () => assert.fail('first\\n\\nsecond')));
test('slow', { timeout: 10 }, () => new Promise((resolve) => setTimeout(resolve, 300)));
`;

/** The list for layers by name: their output, and whether they failed. */
function failures(layers: Record<string, { output: string; failed: boolean }>): string[] {
  const log = Object.entries(layers).map(
    ([name, { output, failed }]) => `=== ${name}\n${output}\n${failed ? '=== failed\n' : ''}`,
  );
  const { stdout, stderr } = spawnSync('awk', ['-f', '.ci/failures.awk'], { input: log.join(''), encoding: 'utf8' });
  assert.equal(stderr, '');
  return stdout.split('\n').slice(0, -1);
}

test('each failed test is listed with its layer, file and message', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'tsunicorn-ci-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const file = join(directory, 'failing.test.mjs');
  writeFileSync(file, FAILING);
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const run = spawnSync(process.execPath, ['--test', file], { cwd: directory, env, encoding: 'utf8' });
  assert.equal(run.status, 1);
  const output = `✖ not of the list\n${run.stdout}npm error Lifecycle script failed`;
  const lines = failures({ fine: { output: 'at ease', failed: false }, tests: { output, failed: true } });
  assert.deepEqual(
    lines.map((line) => line.replace(/:\d+:\d+:/, ':').replace(/ \([\d.]+ms\)$/, '')),
    [
      '✖ tests: failing.test.mjs: numbers',
      '  AssertionError [ERR_ASSERTION]: Expected values to be strictly equal:',
      '  1 !== 2',
      '✖ tests: failing.test.mjs: words',
      '  AssertionError [ERR_ASSERTION]: first',
      '  second',
      '✖ tests: failing.test.mjs: slow',
      "  'test timed out after 10ms'",
    ],
  );
});

test('a layer that fails without a failed test is listed with the end of its output', () => {
  const output = Array.from({ length: 30 }, (_, i) => `line ${i}`).join('\n');
  const lines = failures({ lint: { output, failed: true }, next: { output, failed: false } });
  assert.equal(lines[0], '✖ lint: failed without a failed test; its last lines:');
  assert.deepEqual([lines.length, lines[1], lines.at(-1)], [21, '  line 10', '  line 29']);
});
