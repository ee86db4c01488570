/** Generated documents are fresh. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configurationDocument, DOCUMENTS, exitCodesDocument, staleDocuments } from '../../scripts/docs.ts';
import { SETTINGS } from '../../src/config/settings.ts';
import type { Setting } from '../../src/config/table.ts';
import { EXIT_CODES } from '../../src/errors.ts';

const SETTING_ROWS: readonly Setting[] = Object.values(SETTINGS);

test('the generated documents are fresh (npm run docs)', () => {
  assert.deepEqual(staleDocuments(new URL('../../', import.meta.url)), []);
});

test('a document that is missing or different is stale', () => {
  assert.ok(Object.keys(DOCUMENTS).length >= 8);
  assert.deepEqual(staleDocuments(new URL('./', import.meta.url)), Object.keys(DOCUMENTS));
});

test('each setting and each section is documented once', () => {
  const lines = configurationDocument().split('\n');
  for (const { name, alias } of SETTING_ROWS) {
    const start = `| \`${name}\`${alias === undefined ? '' : `, alias \`${alias}\``} | `;
    assert.equal(lines.filter((line) => line.startsWith(start)).length, 1, name);
  }
  assert.deepEqual(
    lines.filter((line) => line.startsWith('## ')).map((line) => line.slice(3)),
    [...new Set(SETTING_ROWS.map(({ section }) => section))],
  );
});

test('every row of a table has as many cells as its head', () => {
  const cells = (line: string) => line.split(/(?<!\\)\|/).length;
  for (const line of configurationDocument()
    .split('\n')
    .filter((text) => text.startsWith('|'))) {
    assert.equal(cells(line), 5, line);
  }
});

test('what a setting says is whole sentences, and its default is named', () => {
  for (const { name, text, default: fallback, defaultMeans, parser } of SETTING_ROWS) {
    assert.match(text, /^[A-Z`].*\.$/, name);
    assert.match(parser.accepts, /^\S.*[^.]$/, name);
    assert.ok(defaultMeans !== undefined || typeof fallback !== 'function', name);
  }
});

test('no text names a variable that does not exist', () => {
  const names = new Set<string>(SETTING_ROWS.map(({ name }) => name));
  const fromKubernetes = new Set(['TSUNICORN_SERVICE_HOST', 'TSUNICORN_PORT']);
  const mentioned = `${configurationDocument()}${exitCodesDocument()}`.match(/TSUNICORN_[A-Z_]*[A-Z]/g) ?? [];
  for (const name of mentioned) assert.ok(names.has(name) || fromKubernetes.has(name), name);
});

test('each exit code is documented', () => {
  for (const { status } of Object.values(EXIT_CODES))
    assert.match(exitCodesDocument(), new RegExp(`^\\| \`${status}\` \\|`, 'm'));
});
