import assert from 'node:assert/strict';
import { test } from 'node:test';
import { start } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

test('serves, logs, counts and stops with 0', async (t) => {
  const server = await (await start(t, { app: 'basic.js' })).ready();
  const answer = await server.get('/?a=1', {
    headers: { 'x-request-id': 'abc', referer: 'http://r/', 'user-agent': 'me' },
  });
  assert.equal(answer.body, 'hello');
  assert.equal(await server.stop(), 0);
  const [line] = server.access;
  assert.ok(line);
  const { time, worker, duration_ms, ...rest } = line;
  assert.match(String(time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.ok(worker === 0 || worker === 1);
  assert.ok(Number(duration_ms) > 0);
  assert.deepEqual(rest, {
    remote: '127.0.0.1',
    client: '127.0.0.1',
    method: 'GET',
    path: '/',
    query: 'a=1',
    protocol: 'HTTP/1.1',
    status: 200,
    bytes: 5,
    referer: 'http://r/',
    user_agent: 'me',
    request_id: 'abc',
  });
  assert.equal(server.log.at(-1)?.msg, 'stopped as asked');
});

test('a log on a full disk costs lines and nothing else', async (t) => {
  const env = { TSUNICORN_ACCESS_LOG: '/dev/full', TSUNICORN_ERROR_LOG: '/dev/full' };
  const server = await (await start(t, { app: 'basic.js', env })).ready();
  for (let i = 0; i < 5; i++) assert.equal((await server.get('/')).status, 200);
  await waitFor('what is lost is counted', async () => (await server.metric('tsunicorn_log_lines_dropped_total')) >= 5);
  const before = performance.now();
  assert.equal(await server.stop(), 0);
  assert.ok(performance.now() - before < 10_000, 'well below the graceful timeout of 25 s');
});

test('signals to the whole process group are the arbiter’s to answer', async (t) => {
  const server = await (await start(t, { app: 'basic.js', detached: true })).ready();
  const workers = server.workerPids();
  for (const signal of ['SIGUSR1', 'SIGUSR2'] as const) process.kill(-server.pid, signal);
  await server.untilLogged('status report');
  assert.doesNotMatch(server.stderr, /[Dd]ebugger listening/);
  process.kill(-server.pid, 'SIGTTIN');
  await server.untilLogged('is ready', 3);
  assert.ok(workers.every((pid) => server.workerPids().includes(pid)));
  assert.equal((await server.get('/')).status, 200);
  const slow = server.get('/slow?ms=300');
  await server.get('/');
  process.kill(-server.pid, 'SIGTERM');
  assert.equal((await slow).status, 200);
  assert.equal((await server.exited).code, 0);
});

test('on one CPU workers boot one after another, and the server is ready when all are', async (t) => {
  const server = await start(t, {
    app: 'basic.js',
    wrapper: ['taskset', '-c', '0'],
    env: { TSUNICORN_WORKERS: '4', TSUNICORN_LOG_LEVEL: 'debug' },
  });
  const answer = await waitFor('it is ready', async () => {
    const now = await server.admin('/readyz').catch(() => undefined);
    return now?.status === 200 && now;
  });
  assert.match(answer.body, /4 of 4 workers are ready/);
  await server.untilLogged('worker is ready', 4);
  const steps = server.log.map(({ msg }) => /^worker (boots|is ready)/.exec(msg)?.[1]).filter((step) => step);
  assert.deepEqual(steps, ['boots', 'is ready', 'boots', 'is ready', 'boots', 'is ready', 'boots', 'is ready']);
  assert.equal(await server.stop(), 0);
});
