/** With real files, and real time for the debounce. */
import assert from 'node:assert/strict';
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { watchSources } from '../../src/platform/watch.ts';
import { waitFor } from '../support/wait.ts';

function watched(t: { after(fn: () => unknown): void }, files: Record<string, string> = {}) {
  const directory = mkdtempSync(join(tmpdir(), 'tsunicorn-watch-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const path = (name: string) => join(directory, name);
  const write = (name: string, text = String(Math.random())) => {
    mkdirSync(join(path(name), '..'), { recursive: true });
    writeFileSync(path(name), text);
  };
  for (const [name, text] of Object.entries(files)) write(name, text);
  const calls: string[][] = [];
  const failures: string[] = [];
  const stop = watchSources({
    directory,
    ignore: new Set([path('access.json')]),
    changed: (found) => calls.push(found.map((file) => file.slice(directory.length + 1)).sort()),
    failed: (where, error) => failures.push(`${where}: ${error.code}`),
  });
  t.after(stop);
  /** Every call so far, once the file that ends the story has been seen. */
  const told = async () => {
    write('end.js');
    await waitFor('the end is seen', () => calls.some((call) => call.includes('end.js')), { state: () => calls });
    return calls.flat().filter((name) => name !== 'end.js');
  };
  return { path, write, calls, failures, told, stop };
}

test('a source file that is written, made, replaced or removed has changed', async (t) => {
  const { write, path, told, calls } = watched(t, { 'a.js': '1', 'b.ts': '1', 'lib/c.mjs': '1', 'd.json': '1' });
  const seen = (n: number) => waitFor(`${n} calls`, () => calls.length === n, { state: () => calls });
  write('a.js');
  await seen(1);
  write('new.cjs');
  await seen(2);
  write('lib/c.mjs.tmp'); // as many editors save
  renameSync(path('lib/c.mjs.tmp'), path('lib/c.mjs'));
  await seen(3);
  rmSync(path('b.ts'));
  await seen(4);
  write('.env');
  assert.deepEqual(await told(), ['a.js', 'new.cjs', 'lib/c.mjs', 'b.ts', '.env']);
});

test('directories that come later are watched too, and those that go and come again', async (t) => {
  const { write, path, told, calls } = watched(t);
  write('x/y/first.js');
  await waitFor('the first', () => calls.flat().includes('x/y/first.js'), { state: () => calls });
  write('x/y/second.js');
  await waitFor('the second', () => calls.flat().includes('x/y/second.js'), { state: () => calls });
  rmSync(path('x'), { recursive: true });
  await waitFor('gone', () => calls.flat().filter((name) => name === 'x/y/first.js').length === 2, {
    state: () => calls,
  });
  write('x/y/third.js');
  await waitFor('the third', () => calls.flat().includes('x/y/third.js'), { state: () => calls });
  write('x/y/third.js');
  assert.ok((await told()).filter((name) => name === 'x/y/third.js').length >= 2);
});

test('what is no source of the app says nothing', async (t) => {
  const { write, path, told } = watched(t, { 'a.js': '1', 'node_modules/m/index.js': '1', '.git/config.json': '1' });
  write('node_modules/m/index.js');
  write('node_modules/new/index.js');
  write('.git/config.json');
  write('.cache/x.js');
  write('lib/node_modules/x.js');
  write('.a.js.swp');
  write('.#a.js');
  write('a.js~');
  write('app.log');
  write('data.sqlite');
  write('access.json'); // a log of the server's own
  chmodSync(path('a.js'), 0o600);
  assert.deepEqual(await told(), []);
});

test('a file that is touched has changed, whatever its size', async (t) => {
  const { path, told } = watched(t, { 'a.js': '1' });
  utimesSync(path('a.js'), 1e9, 1e9);
  assert.deepEqual(await told(), ['a.js']);
});

test('a burst of saves is one change', async (t) => {
  const { write, calls } = watched(t, { 'a.js': '1' });
  const files = Array.from({ length: 8 }, (_, i) => `f${i}.js`);
  for (const file of files) {
    write(file);
    await sleep(20); // the rhythm of a formatter: the pause that ends a burst is longer
  }
  await waitFor('it is seen', () => calls.length > 0);
  assert.deepEqual(calls, [files]);
});

test('a file that is written without end is seen nevertheless', async (t) => {
  const { path, calls } = watched(t, { 'a.js': '1' });
  const timer = setInterval(() => appendFileSync(path('a.js'), '1'), 10);
  t.after(() => clearInterval(timer));
  await waitFor('it is seen twice', () => calls.length >= 2, { seconds: 5 });
});

test('is over when it is told so', async (t) => {
  const { write, calls, stop } = watched(t);
  write('a.js');
  stop();
  const other = watched(t);
  await other.told(); // as long as it takes to be seen
  assert.deepEqual(calls, []);
});
