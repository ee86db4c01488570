import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileThatListens } from '../../src/worker/app/listen-in-source.ts';

const cases: [what: string, files: Record<string, string>, expected: string | undefined][] = [
  ['a call', { 'main.js': 'db.then(() => app.listen(3000))' }, 'main.js'],
  ['serve() of Hono', { 'main.js': 'serve({ fetch: app.fetch })' }, 'main.js'],
  ['none', { 'main.js': 'module.exports = app; setInterval(f, 1)' }, undefined],
  ['a listener', { 'main.js': "socket.on('listening', f); const listen = 1" }, undefined],
  ['comments', { 'main.js': '// app.listen(1)\n/* app.listen(2)\n */ a() // listen(3)' }, undefined],
  ['a URL before a call', { 'main.js': "const u = 'http://x/'; app.listen(1)" }, 'main.js'],
  ['a definition', { 'main.js': 'function listen(port) {}' }, undefined],
  ['an import', { 'main.js': "import './lib/start.js'", 'lib/start.js': 'app.listen(1)' }, 'start.js'],
  ['import()', { 'main.js': "await import('./start.mjs')", 'start.mjs': 'app.listen(1)' }, 'start.mjs'],
  [
    'require without an ending',
    { 'main.js': "require('./a')", 'a/index.js': "require('../b')", 'b.js': 'x.listen()' },
    'b.js',
  ],
  ['.js for .ts', { 'main.ts': "export * from './a.js'", 'a.ts': 'app.listen(1)' }, 'a.ts'],
  ['a circle', { 'main.js': "require('./a')", 'a.js': "require('./main')" }, undefined],
  ['a package', { 'main.js': "require('express')", 'node_modules/express/index.js': 'x.listen(1)' }, undefined],
  ['a file that is not there', { 'main.js': "require('./gone')" }, undefined],
];

for (const [what, files, expected] of cases) {
  test(`a call of listen() in the source: ${what}`, (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'tsunicorn-test-'));
    t.after(() => rmSync(directory, { recursive: true }));
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(directory, name)), { recursive: true });
      writeFileSync(join(directory, name), text);
    }
    assert.equal(fileThatListens(join(directory, Object.keys(files)[0] ?? '')), expected);
  });
}
