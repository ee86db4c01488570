/** A process that cannot be made. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { start } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const prlimit = (pid: number, limit: string) => spawnSync('prlimit', ['--pid', String(pid), limit]).status;
const skip = spawnSync('prlimit', ['--version']).status !== 0 && 'there is no prlimit(1)';
const countOf = (pid: number) => readdirSync(`/proc/${pid}/fd`).length;

test('a spawn that fails in a way that Node.js throws is a failed boot: the others serve, it is tried again', {
  skip,
}, async (t) => {
  // A quarter of the stack's limit is what arguments and environment may take, and at least 128 KiB (execve(2)): with
  // this environment E2BIG, and the stack of a server that runs already is far below.
  const padding = 'x'.repeat(100_000);
  const env = { TSUNICORN_RESIZE_INTERVAL: '0', PADDING_A: padding, PADDING_B: padding };
  const server = await (await start(t, { app: 'basic.js', env })).ready();
  const [victim = 0, other] = server.workerPids();
  assert.equal(prlimit(server.pid, `--stack=${512 * 1024}:`), 0);
  process.kill(victim, 'SIGKILL');
  await server.untilLogged('worker ended: spawn E2BIG');
  const descriptors = countOf(server.pid);
  // As many in a row as would end a server that has no other worker.
  const line = await server.untilLogged('worker ended: spawn E2BIG', 6);
  assert.deepEqual([line.level, line.reason], ['error', 'boot']);
  assert.ok((await server.metric('tsunicorn_worker_restarts_total{reason="boot"}')) >= 6);
  assert.deepEqual(server.workerPids(), [other]);
  await waitFor('no descriptor is left behind', () => countOf(server.pid) <= descriptors);
  const answers = await Promise.all(Array.from({ length: 20 }, () => server.get('/pid')));
  assert.deepEqual(new Set(answers.map(({ body }) => Number(body))), new Set([other]));
  assert.equal((await server.admin('/readyz')).status, 200);

  assert.equal(prlimit(server.pid, '--stack=8388608:'), 0);
  await server.untilLogged('is ready', 3);
  await waitFor('two workers', () => server.workerPids().length === 2);
  assert.equal(await server.stop(), 0);
});

test('if no worker serves it ends the server as any failed boot does, with exit code 3', { skip }, async (t) => {
  const padding = 'x'.repeat(100_000);
  const env = { TSUNICORN_WORKERS: '1', TSUNICORN_CRASH_LIMIT: '3', PADDING_A: padding, PADDING_B: padding };
  const server = await (await start(t, { app: 'basic.js', env })).ready();
  assert.equal(prlimit(server.pid, `--stack=${512 * 1024}:`), 0);
  process.kill(server.workerPids()[0] ?? 0, 'SIGKILL');
  assert.equal((await server.exited).code, 3);
  assert.match(server.log.at(-1)?.msg ?? '', /^3 workers in a row failed to boot, the last: spawn E2BIG$/);
});
