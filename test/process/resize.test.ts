import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CpuGroup, NEEDS } from '../support/cpu-group.ts';
import { Load } from '../support/load.ts';
import { start, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

/** Six of these are the time after which fewer workers are left: 1.8 s. */
const INTERVAL = '0.3';

const env = { TSUNICORN_WORKERS: undefined, TSUNICORN_RESIZE_INTERVAL: INTERVAL, TSUNICORN_ACCESS_LOG: 'off' };

const workers = (server: TestServer, n: number) =>
  waitFor(`${n} worker(s)`, () => server.workerPids().length === n, { state: () => server.stderr.slice(-3000) });

test('a real quota moved 1 → 1.5 → 0.5 → 2 under load moves the number of workers, and nothing is lost', async (t) => {
  const group = CpuGroup.make(t, 1);
  if (!group) return t.skip(NEEDS);
  const server = await (await start(t, { app: 'basic.js', env, wrapper: group.wrapper })).ready();
  await workers(server, 1);
  const loads = [
    new Load(t, { port: server.port, clients: 4, kind: 'keep-alive' }),
    new Load(t, { port: server.port, clients: 4, kind: 'short' }),
    new Load(t, { port: server.port, clients: 2, kind: 'short', path: '/slow?ms=200' }),
  ];

  group.setQuota(1.5);
  await server.untilLogged(/^resized from 1: 2 workers: .*quota 1\.5 from /);
  await server.untilLogged('is ready', 2);
  await workers(server, 2);
  assert.equal(await server.metric('tsunicorn_workers{state="desired"}'), 2);

  group.setQuota(0.5);
  const noticed = await server.untilLogged(/^fewer workers in 1\.8 s/);
  const shrunk = await server.untilLogged(/^resized from 2: 1 worker: .*quota 0\.5 from /);
  const waited = Date.parse(String(shrunk.time)) - Date.parse(String(noticed.time));
  assert.ok(waited >= 1_700, `it waited ${waited} ms for quiet`);
  await server.untilLogged('worker drains: fewer workers are wanted');
  await workers(server, 1);

  group.setQuota(2);
  await server.untilLogged(/^resized from 1: 2 workers: .*quota 2 from /);
  await server.untilLogged('is ready', 3);
  await workers(server, 2);

  for (const result of await Promise.all(loads.map((load) => load.stop()))) assert.deepEqual(result.failures, {});
  assert.deepEqual(server.logged('is killed'), []);
  assert.ok((await server.metric('tsunicorn_worker_restarts_total{reason="resize"}')) >= 1);
  assert.equal(await server.stop(), 0);
});

test('TTIN overrides the quota until HUP', async (t) => {
  const group = CpuGroup.make(t, 1);
  if (!group) return t.skip(NEEDS);
  const server = await (await start(t, { app: 'basic.js', env, wrapper: group.wrapper })).ready();
  server.signal('SIGTTIN');
  await workers(server, 2);
  await server.untilLogged('is ready', 2);
  group.setQuota(0.9);
  await server.untilLogged(/^limits changed: 2 workers: .*quota 0\.9 .*number set by signals/);
  assert.deepEqual(server.logged('fewer workers in'), []);
  server.signal('SIGHUP');
  await server.untilLogged(/^resized from 2: 1 worker: .*quota 0\.9 /);
  await workers(server, 1);
  assert.equal(await server.stop(), 0);
});

test('with an interval of 0 the quota of the start stays', async (t) => {
  const group = CpuGroup.make(t, 1);
  if (!group) return t.skip(NEEDS);
  const off = { ...env, TSUNICORN_RESIZE_INTERVAL: '0' };
  const server = await (await start(t, { app: 'basic.js', env: off, wrapper: group.wrapper })).ready();
  group.setQuota(2);
  server.signal('SIGHUP'); // which would take it up otherwise
  await server.untilLogged('is ready', 2);
  await workers(server, 1);
  assert.deepEqual(server.logged('resized'), []);
  assert.equal(await server.stop(), 0);
});
