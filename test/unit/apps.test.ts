/** The table of examples, the folder of examples and docs/apps.md tell of the same. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { appsDocument, type Outcome, outcomesIn } from '../apps/document.ts';
import { EXAMPLES, majorsOf, STEPS, stepsOf } from '../apps/examples.ts';

const ROOT = new URL('../../', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, ROOT), 'utf8');
const DOCUMENT = 'docs/apps.md';

test('docs/apps.md is of the present examples, each of which passed everywhere (npm run docs:apps)', () => {
  const document = read(DOCUMENT);
  const outcomes = outcomesIn(document);
  assert.equal(document, appsDocument(outcomes));
  for (const example of EXAMPLES) {
    const outcome = outcomes.find(({ directory }) => directory === example.directory);
    assert.deepEqual(outcome?.passed, stepsOf(example), example.directory);
    assert.deepEqual(
      outcome?.nodes.map((version) => Number.parseInt(version, 10)),
      majorsOf(example),
      example.directory,
    );
    if (example.package === undefined) continue;
    const { dependencies, devDependencies } = JSON.parse(read(`examples/${example.directory}/package.json`));
    const range = { ...devDependencies, ...dependencies }[example.package];
    const tested = outcome?.version ?? '';
    assert.ok(isWithin(tested, range), `${example.directory} was tested with ${tested}, and asks for ${range}`);
  }
});

/** `^1.2.3`: nothing older, and the same major version, or the same minor one before 1.0.0. */
function isWithin(version: string, range: string): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number);
  const [lowest = 0, least = 0, first = 0] = range.replace(/^\^/, '').split('.').map(Number);
  const isNewer = minor > least || (minor === least && patch >= first);
  return major === lowest && isNewer && (major > 0 || minor === least);
}

test('what a document says of a run is read back as it was written', () => {
  const outcomes: Outcome[] = EXAMPLES.map((example, i) => ({
    directory: example.directory,
    version: example.package === undefined ? '–' : `1.${i}.0-beta.1`,
    nodes: i === 0 ? [] : ['22.18.0', '26.0.0'],
    passed: stepsOf(example).slice(0, i),
  }));
  assert.deepEqual(outcomesIn(appsDocument(outcomes)), outcomes);
});

test('an example that was not run is not said to work', () => {
  const lines = appsDocument([]).split('\n');
  const rows = lines.filter((line) => line.startsWith('| ['));
  assert.equal(rows.length, EXAMPLES.length);
  for (const line of rows) {
    assert.match(line, / \| none \| /);
    assert.doesNotMatch(line, /\byes\b/);
  }
});

test('every example has its files, and the README leads to it', () => {
  const readme = read('README.md');
  for (const { directory } of EXAMPLES) {
    for (const file of ['package.json', 'README.md']) {
      assert.ok(existsSync(new URL(`examples/${directory}/${file}`, ROOT)), `examples/${directory}/${file}`);
    }
    assert.ok(readme.includes(`](examples/${directory})`), `README.md leads to examples/${directory}`);
  }
});

test('every step is tried with some example', () => {
  const tried = new Set(EXAMPLES.flatMap(stepsOf));
  assert.deepEqual([...tried].sort(), [...STEPS].sort());
});
