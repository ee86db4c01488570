import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { CpuGroup, NEEDS } from '../support/cpu-group.ts';
import { Load } from '../support/load.ts';
import { isRunning, start, type TestServer } from '../support/server.ts';
import { SOONER_OR_LATER, waitFor } from '../support/wait.ts';

const env = { TSUNICORN_TIMEOUT: '1', TSUNICORN_RESIZE_INTERVAL: '0' };

/** Longer than a worker may be silent, and than the arbiter's loop takes to turn. */
const STOPPED_MS = 4_000;

/** Stops the processes for a while, and lets the arbiter look at everybody. */
async function suspend(server: TestServer, pids: readonly number[]): Promise<void> {
  for (const pid of pids) process.kill(pid, 'SIGSTOP');
  await sleep(STOPPED_MS);
  for (const pid of pids) process.kill(pid, 'SIGCONT');
  const reports = server.logged('status report').length;
  server.signal('SIGUSR2');
  await server.untilLogged('status report', reports + 1);
}

test('a server that was suspended as a whole kills no worker', async (t: TestContext) => {
  const server = await (await start(t, { app: 'basic.js', env })).ready();
  const workers = server.workerPids();
  const load = new Load(t, { port: server.port, clients: 2, kind: 'short' });
  // Who is stopped first, and goes on first, must not matter.
  await suspend(server, [server.pid, ...workers]);
  await suspend(server, [...workers, server.pid]);
  assert.deepEqual((await load.stop()).failures, {});
  assert.deepEqual(server.logged('is killed'), []);
  assert.deepEqual(server.workerPids(), workers);
  assert.equal(await server.stop(), 0);
});

test('an arbiter that was stopped alone kills no worker', async (t: TestContext) => {
  const server = await (await start(t, { app: 'basic.js', env })).ready();
  const workers = server.workerPids();
  const load = new Load(t, { port: server.port, clients: 2, kind: 'keep-alive', path: '/burn?ms=20' });
  await suspend(server, [server.pid]);
  assert.deepEqual((await load.stop()).failures, {});
  assert.deepEqual(server.logged('is killed'), []);
  assert.deepEqual(server.workerPids(), workers);
  assert.equal(await server.stop(), 0);
});

test('an arbiter that was stopped at the deadline of a worker that has ended reads that first', async (t: TestContext) => {
  const one = { TSUNICORN_GRACEFUL_TIMEOUT: '4', TSUNICORN_WORKERS: '1' };
  const server = await (await start(t, { app: 'basic.js', env: one })).ready();
  const [worker = 0] = server.workerPids();
  const slow = server.get('/slow?ms=300');
  await waitFor('in flight', async () => (await server.metric('tsunicorn_http_requests_in_flight{worker="0"}')) === 1);
  const deadline = performance.now() + 4_000;
  server.signal('SIGTERM');
  await server.untilLogged('worker drains');
  process.kill(server.pid, 'SIGSTOP');
  assert.equal((await slow).status, 200);
  await waitFor(
    'the worker has ended, and its time too',
    () => !isRunning(worker) && performance.now() > deadline + 200,
  );
  process.kill(server.pid, 'SIGCONT');
  assert.equal((await server.exited).code, 0);
  assert.deepEqual(server.logged('is killed'), []);
});

test('an arbiter with nothing to do does not take its own sleep for a standstill', async (t: TestContext) => {
  // Longer than the gap that extends deadlines; and nothing else wakes it while its only worker is silent.
  const alone = { TSUNICORN_TIMEOUT: '4', TSUNICORN_RESIZE_INTERVAL: '0', TSUNICORN_WORKERS: '1' };
  const server = await (await start(t, { app: 'basic.js', env: alone })).ready();
  const stuck = server.get('/spin?ms=3600000').catch((error: NodeJS.ErrnoException) => error.code);
  await server.untilLogged('worker is killed: silent for 4 s', 1, SOONER_OR_LATER);
  assert.equal(await stuck, 'ECONNRESET');
  assert.equal(await server.stop(), 0);
});

test('under a CPU quota of 0.2 no slow worker is killed', async (t) => {
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
  const throttled = await server.metric('tsunicorn_cgroup_cpu_throttled_seconds_total');
  assert.ok(throttled > 0, 'how long is up to what else the machine does: without a CPU it is not throttled');
  group.setQuota(2);
  assert.deepEqual(server.logged('is killed'), []);
  assert.equal(await server.stop(), 0);
});

test('under a CPU quota of 0.2 a worker that never comes back is killed', async (t) => {
  const group = CpuGroup.make(t, 2);
  if (!group) return t.skip(NEEDS);
  const one = { ...env, TSUNICORN_WORKERS: '1' };
  const server = await (await start(t, { app: 'basic.js', env: one, wrapper: group.wrapper })).ready();
  group.setQuota(0.2);
  const stuck = server.get('/burn?ms=3600000').catch((error: NodeJS.ErrnoException) => error.code);
  const at = performance.now();
  await server.untilLogged('worker is killed: silent for 1 s', 1, SOONER_OR_LATER);
  const seconds = (performance.now() - at) / 1000;
  assert.equal(await stuck, 'ECONNRESET');
  assert.ok(seconds > 2, `it was given ${seconds.toFixed(1)} s, which is less than a second of its own`);
  group.setQuota(2);
  await server.untilLogged('is ready', 2);
  assert.equal(await server.stop(), 0);
});
