/** The pid of a server that was killed may belong to anything by the next start. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { childrenOf, isRunning, start } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const env = { TSUNICORN_WORKERS: '1' };

test('a pidfile that has the pid of a running arbiter is refused: 69, with the cure', async (t) => {
  const one = await (await start(t, { app: 'basic.js', env: { ...env, TSUNICORN_PIDFILE: 'server.pid' } })).ready();
  const file = join(one.directory, 'server.pid');
  const two = await start(t, { app: 'basic.js', env: { ...env, TSUNICORN_PIDFILE: file } });
  assert.equal((await two.exited).code, 69);
  assert.match(two.log.at(-1)?.msg ?? '', new RegExp(`an arbiter runs with pid ${one.pid}\\. Stop it, or`));
  assert.equal(readFileSync(file, 'utf8'), `${one.pid}\n`);
  assert.equal(await one.stop(), 0);
});

test('a pidfile that has the pid of another program, a thread or a zombie is taken over', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'tsunicorn-pidfile-'));
  t.after(() => rmSync(directory, { recursive: true }));
  // The shell becomes a program that does not wait for its child.
  const sleeper = spawn('sh', ['-c', 'true & exec sleep 60']);
  t.after(() => sleeper.kill('SIGKILL'));
  const pid = sleeper.pid ?? 0;
  const [zombie = 0] = await waitFor('a zombie', () => {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').map(Number).filter(Boolean);
    return children.length > 0 && !isRunning(children[0] ?? 0) && childrenOf(pid).length === 0 && children;
  });
  const thread = readdirSync('/proc/self/task')
    .map(Number)
    .find((tid) => tid !== process.pid);
  for (const [stranger, what] of [
    [pid, 'another program \\(sleep 60\\)'],
    [thread, 'a thread'],
    [zombie, 'a zombie'],
  ] as const) {
    const file = join(directory, 'server.pid');
    writeFileSync(file, `${stranger}\n`);
    const server = await (await start(t, { app: 'basic.js', env: { ...env, TSUNICORN_PIDFILE: file } })).ready();
    assert.equal(readFileSync(file, 'utf8'), `${server.pid}\n`);
    assert.equal(server.logged(new RegExp(`is stale: pid ${stranger} is ${what}, not an arbiter`)).length, 1);
    assert.equal(await server.stop(), 0);
  }
});
