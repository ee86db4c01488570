import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CpuGroup, NEEDS } from '../support/cpu-group.ts';
import { start } from '../support/server.ts';

const env = { TSUNICORN_TIMEOUT: '1', TSUNICORN_RESIZE_INTERVAL: '0' };

test('under a CPU quota of 0.2 nobody is murdered for being slow', async (t) => {
  const group = CpuGroup.make(t, 2);
  if (!group) return t.skip(NEEDS);
  const server = await (await start(t, { app: 'basic.js', env, wrapper: group.wrapper })).ready();
  group.setQuota(0.2);
  const at = performance.now();
  // 0.8 s of CPU time for two workers that have a fifth of a CPU between them. All may come to the same worker, in
  // one turn of its loop, which is less than the timeout all the same.
  const answers = await Promise.all(Array.from({ length: 4 }, () => server.get('/burn?ms=200')));
  const seconds = (performance.now() - at) / 1000;
  assert.ok(answers.every(({ status }) => status === 200));
  assert.ok(seconds > 2, `it took ${seconds.toFixed(1)} s: the quota is not what it should be`);
  group.setQuota(2);
  assert.deepEqual(server.logged('is killed'), []);
  assert.equal(await server.stop(), 0);
});

test('under a CPU quota of 0.2 a worker that never comes back is murdered nevertheless', async (t) => {
  const group = CpuGroup.make(t, 2);
  if (!group) return t.skip(NEEDS);
  const one = { ...env, TSUNICORN_WORKERS: '1' };
  const server = await (await start(t, { app: 'basic.js', env: one, wrapper: group.wrapper })).ready();
  group.setQuota(0.2);
  const stuck = server.get('/burn?ms=3600000').catch((error: NodeJS.ErrnoException) => error.code);
  const at = performance.now();
  await server.untilLogged('worker is killed: silent for 1 s');
  const seconds = (performance.now() - at) / 1000;
  assert.equal(await stuck, 'ECONNRESET');
  assert.ok(seconds > 2, `it was given ${seconds.toFixed(1)} s, which is less than a second of its own`);
  group.setQuota(2);
  await server.untilLogged('is ready', 2);
  assert.equal(await server.stop(), 0);
});
