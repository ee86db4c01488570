import assert from 'node:assert/strict';
import { join, relative } from 'node:path';
import { describe, it } from 'node:test';
import { WELCOME_APP } from '../../src/messages.ts';
import { discover, parseReference } from '../../src/worker/app/reference.ts';
import { answerOf, load, plant, says } from './app-files.ts';

describe('where no app is named', () => {
  const found: [what: string, files: string[], main: string | undefined, file: string | undefined][] = [
    ['nothing is there', [], undefined, undefined],
    [
      'dist/app comes first',
      ['index.js', 'server.js', 'app.js', 'dist/index.js', 'dist/server.js', 'dist/app.js'],
      undefined,
      'dist/app.js',
    ],
    [
      'then dist/server',
      ['index.js', 'server.js', 'app.js', 'dist/index.js', 'dist/server.js'],
      undefined,
      'dist/server.js',
    ],
    ['then dist/index', ['index.js', 'server.js', 'app.js', 'dist/index.js'], undefined, 'dist/index.js'],
    ['then app', ['index.js', 'server.js', 'app.js'], undefined, 'app.js'],
    ['then server', ['index.js', 'server.js'], undefined, 'server.js'],
    ['then index', ['index.js'], undefined, 'index.js'],
    ['main before all', ['lib/main.js', 'dist/app.js'], 'lib/main.js', 'lib/main.js'],
    ['main without an extension', ['lib/main.cjs'], './lib/main', 'lib/main.cjs'],
    ['main that is a directory', ['lib/index.js', 'app.js'], 'lib', 'lib/index.js'],
    ['main that is not there', ['app.js'], 'lib/main.js', 'app.js'],
    ['main that is empty', ['app.js'], '', 'app.js'],
    ['.mjs', ['app.mjs'], undefined, 'app.mjs'],
    ['.cjs', ['app.cjs'], undefined, 'app.cjs'],
    ['.ts', ['app.ts'], undefined, 'app.ts'],
    ['.mts', ['app.mts'], undefined, 'app.mts'],
    ['compiled before its source', ['app.ts', 'app.js'], undefined, 'app.js'],
    ['a directory', ['app/index.ts'], undefined, 'app/index.ts'],
    ['a directory of the name that holds something else', ['app/other.js', 'index.js'], undefined, 'index.js'],
    [
      'other extensions do not count',
      ['app.txt', 'app.json', 'app.jsx', 'app.d.tsx', 'index.html'],
      undefined,
      undefined,
    ],
  ];
  for (const [what, files, main, file] of found) {
    it(what, () => {
      const texts = Object.fromEntries(files.map((f) => [f, '']));
      const directory = plant({ ...texts, ...(main !== undefined && { 'package.json': JSON.stringify({ main }) }) });
      const reference = discover(directory);
      assert.equal(reference && relative(directory, reference.file), file);
    });
  }

  it('a package.json that cannot be used is passed over', () => {
    for (const text of ['', 'nope', 'null', '[]', '{"main":5}', '{"main":{}}', '{}']) {
      assert.match(discover(plant({ 'package.json': text, 'app.js': '' }))?.file ?? '', /app\.js$/, text);
    }
  });

  it('the app is loaded by the rules for exports', async () => {
    const app = await load(undefined, plant({ 'dist/app.mjs': `export const handler = ${says('a')}` }));
    assert.deepEqual([app.name, answerOf(app)], ['app.mjs:handler', 'a']);
  });

  it('and none is there, the welcome app is served', async () => {
    const app = await load(undefined, plant({}));
    assert.deepEqual([app.kind, app.name], ['handler', WELCOME_APP]);
  });
});

describe('TSUNICORN_APP', () => {
  const directory = plant({ 'app.js': '', 'a b.js': '', 'odd:name.js': '', 'dist/index.mjs': '', 'äpp.ts': '' });
  const parsed: [reference: string, file: string, exportName: string | undefined, isFactory: boolean][] = [
    ['app.js', 'app.js', undefined, false],
    ['./app.js', 'app.js', undefined, false],
    ['app', 'app.js', undefined, false],
    ['app:x', 'app.js', 'x', false],
    ['app.js:x()', 'app.js', 'x', true],
    ['app.js:()', 'app.js', undefined, true],
    ['a b.js', 'a b.js', undefined, false],
    ['odd:name.js', 'odd:name.js', undefined, false],
    ['odd:name.js:x', 'odd:name.js', 'x', false],
    ['dist', 'dist/index.mjs', undefined, false],
    ['dist/:x', 'dist/index.mjs', 'x', false],
    ['dist/../app.js', 'app.js', undefined, false],
    ['äpp', 'äpp.ts', undefined, false],
    [join(directory, 'app.js'), 'app.js', undefined, false],
  ];
  for (const [reference, file, exportName, isFactory] of parsed) {
    it(reference.replace(directory, 'DIR'), () => {
      assert.deepEqual(parseReference(reference, directory), { file: join(directory, file), exportName, isFactory });
    });
  }
});
