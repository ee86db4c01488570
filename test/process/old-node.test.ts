import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { run } from '../support/server.ts';

const { engines } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));

const pretend = (version: string): string =>
  `data:text/javascript,Object.defineProperty(process,'versions',{value:{...process.versions,node:'${version}'}})`;

test('a Node.js that is too old is named, with the one that is needed', async (t) => {
  const nodeArgs = ['--import', pretend('22.17.1')];
  const { code, stderr } = await run(t, { args: ['version'], nodeArgs });
  assert.equal(code, 78);
  assert.match(stderr, /^tsunicorn needs Node\.js 22\.18 or newer, and this is v/m);
  assert.equal(engines.node, '>=22.18');
});

test('the oldest that will do does', async (t) => {
  const { code } = await run(t, { args: ['version'], nodeArgs: ['--import', pretend('22.18.0')] });
  assert.equal(code, 0);
});
