import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { watchCrowd } from '../support/crowd.ts';
import { Load } from '../support/load.ts';
import { start, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const quiet = { TSUNICORN_ACCESS_LOG: 'off' };
const MIB = 1024 * 1024;
/** For two workers. */
const RIGHT = { most: 3, fewest: 2, fewestReady: 2 };

function bothKinds(t: { after(fn: () => unknown): void }, port: number): Load[] {
  return [new Load(t, { port, clients: 4, kind: 'keep-alive' }), new Load(t, { port, clients: 4, kind: 'short' })];
}

async function nothingLost(loads: readonly Load[]): Promise<void> {
  for (const result of await Promise.all(loads.map((load) => load.stop()))) assert.deepEqual(result.failures, {});
}

/** How many requests each worker had answered when it was recycled. */
function recycledAt(server: TestServer): number[] {
  return server
    .logged('worker will be replaced')
    .map(({ msg }) => Number(/^worker will be replaced: answered (\d+) requests/.exec(msg)?.[1]));
}

test('workers are recycled after the maximum of requests, and nothing is lost', async (t) => {
  const env = { ...quiet, TSUNICORN_MAX_REQUESTS: '500' };
  const server = await (await start(t, { app: 'basic.js', env })).ready();
  const crowd = watchCrowd(t, server);
  const loads = bothKinds(t, server.port);
  await waitFor(
    'six workers are recycled',
    async () => (await server.metric('tsunicorn_worker_restarts_total{reason="max_requests"}')) >= 6,
    { seconds: 60, state: () => server.stderr.slice(-3000) },
  );
  await nothingLost(loads);
  assert.deepEqual(await crowd(), RIGHT, 'one surplus at the most, and never one too few');
  assert.ok(recycledAt(server).every((served) => served >= 500));
  assert.deepEqual(server.logged('is killed'), []);
  assert.equal(await server.stop(), 0);
});

test('with jitter not all workers are due at the same number of requests', async (t) => {
  const env = {
    ...quiet,
    TSUNICORN_WORKERS: '1',
    TSUNICORN_MAX_REQUESTS: '1',
    TSUNICORN_MAX_REQUESTS_JITTER: '1000000000',
  };
  const server = await (await start(t, { app: 'basic.js', env })).ready();
  for (let i = 0; i < 20; i++) await server.get('/');
  await waitFor(
    'it is counted',
    async () => (await server.metric('tsunicorn_http_requests_total{method="GET",code="200"}')) === 20,
  );
  // One in fifty million times it is.
  assert.deepEqual(server.logged('worker will be replaced'), []);
  assert.equal(await server.stop(), 0);
});

test('workers are recycled at their lifetime, not at the same moment, and nothing is lost', async (t) => {
  const env = { ...quiet, TSUNICORN_MAX_WORKER_LIFETIME: '3' };
  const server = await (await start(t, { app: 'basic.js', env })).ready();
  const crowd = watchCrowd(t, server);
  const loads = bothKinds(t, server.port);
  await waitFor(
    'four workers are recycled',
    async () => (await server.metric('tsunicorn_worker_restarts_total{reason="lifetime"}')) >= 4,
    { seconds: 60, state: () => server.stderr.slice(-3000) },
  );
  await nothingLost(loads);
  assert.deepEqual(await crowd(), RIGHT, 'one surplus at the most, and never one too few');
  assert.match(server.logged('will be replaced')[0]?.msg ?? '', /^worker will be replaced: \d s old \(TSUNICORN_/);
  assert.equal(await server.stop(), 0);
});

test('a leaking app is recycled above its size before it does harm, and nothing is lost', async (t) => {
  const max = 150;
  const env = { ...quiet, TSUNICORN_MAX_WORKER_RSS: `${max}MiB` };
  const server = await (await start(t, { app: 'leak.js', env })).ready();
  const crowd = watchCrowd(t, server);
  let largest = 0;
  const scale = setInterval(() => {
    largest = Math.max(largest, ...server.workerPids().map(residentBytes));
  }, 50);
  t.after(() => clearInterval(scale));
  const loads = bothKinds(t, server.port);
  await waitFor(
    'both workers are recycled',
    async () => (await server.metric('tsunicorn_worker_restarts_total{reason="rss"}')) >= 2,
    { seconds: 90, state: () => server.stderr.slice(-3000) },
  );
  await nothingLost(loads);
  assert.deepEqual(await crowd(), RIGHT, 'one surplus at the most, and never one too few');
  // It leaks 25 MB a second at most; six reports, the boots of two successors and a drain take some seconds.
  assert.ok(largest < 2 * max * MIB, `a worker had ${Math.round(largest / MIB)} MiB`);
  const [line] = server.logged('worker will be replaced');
  assert.match(
    String(line?.msg),
    /^worker will be replaced: RSS \d+ MiB after GC exceeds TSUNICORN_MAX_WORKER_RSS \(150 MiB\)/,
  );
  assert.equal(await server.stop(), 0);
});

test('a worker that has only left garbage behind clears up and is not recycled', async (t) => {
  const max = 150;
  const env = {
    ...quiet,
    TSUNICORN_WORKERS: '1',
    TSUNICORN_MAX_WORKER_RSS: `${max}MiB`,
    TSUNICORN_LOG_LEVEL: 'debug',
  };
  const server = await (await start(t, { app: 'hoard.js', env })).ready();
  const [worker = 0] = server.workerPids();
  await server.get('/keep');
  await server.get('/drop');
  assert.ok(residentBytes(worker) > max * MIB, 'garbage stays where it is');
  // Not before it is ten seconds old.
  await waitFor('it clears up', () => server.logged('worker collects garbage').length > 0, { seconds: 60 });
  await waitFor('it is smaller', () => residentBytes(worker) < 0.9 * max * MIB, {
    state: () => `${residentBytes(worker) / MIB} MiB`,
  });
  assert.deepEqual(server.logged('worker will be replaced'), []);
  assert.equal(await server.stop(), 0);
});

test('a limit below what a worker needs anyway recycles no worker, and the log says so', async (t) => {
  const env = { ...quiet, TSUNICORN_WORKERS: '1', TSUNICORN_TIMEOUT: '0.3', TSUNICORN_MAX_WORKER_RSS: '20MiB' };
  const server = await (await start(t, { app: 'basic.js', env })).ready();
  const line = await server.untilLogged(
    /worker has RSS \d+ MiB right after its start, above TSUNICORN_MAX_WORKER_RSS \(20 MiB\)/,
  );
  assert.match(line.msg, /Raise TSUNICORN_MAX_WORKER_RSS/);
  assert.equal(line.level, 'warn');
  assert.deepEqual(server.logged('worker will be replaced'), []);
  assert.equal(server.logged('right after its start').length, 1);
  assert.equal(await server.stop(), 0);
});

function residentBytes(pid: number): number {
  try {
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
  } catch {
    return 0; // it ended meanwhile
  }
}
