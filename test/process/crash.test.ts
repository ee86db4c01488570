import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Load } from '../support/load.ts';
import { established, isRunning, start, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const quiet = { TSUNICORN_ACCESS_LOG: 'off' };

async function inFlight(server: TestServer): Promise<number> {
  const counts = await Promise.all(
    [0, 1].map((w) => server.metric(`tsunicorn_http_requests_in_flight{worker="${w}"}`)),
  );
  return counts.reduce((a, b) => a + b);
}

test('a SIGKILLed worker costs only its requests in flight, and no client waits for its slot', async (t) => {
  const clients = 8;
  // All of workers that have hardly begun to serve, so that the next one has to wait ever longer: 3 s in the end.
  const kills = 7;
  const server = await (await start(t, { app: 'basic.js', env: quiet })).ready();
  const load = new Load(t, { port: server.port, clients, kind: 'short' });
  let slowest = 0;
  const probing = probe();
  for (let i = 0; i < kills; i++) {
    await waitFor(
      'two workers serve',
      () => server.workerPids().length === 2 && server.logged('is ready').length >= 2 + i,
    );
    const done = load.result.ok;
    await waitFor('the load goes on', () => load.result.ok > done + 200);
    const [victim = 0] = server.workerPids();
    process.kill(victim, 'SIGKILL');
    await waitFor('it is gone', () => !isRunning(victim));
  }
  await server.untilLogged('is ready', 2 + kills);
  const { failures } = await load.stop();
  await probing;
  const lost = Object.values(failures).reduce((a, b) => a + b, 0);
  // What a dead worker had accepted and not answered: of 8 clients 4 are with it, and seldom all at once.
  assert.ok(lost <= (clients / 2) * kills, `${lost} lost in ${kills} kills: ${JSON.stringify(failures)}`);
  assert.equal(failures['connect ECONNREFUSED'], undefined, 'no connection was refused');
  assert.ok(slowest < 1_000, `the slowest request took ${Math.round(slowest)} ms`);
  assert.equal(await server.metric('tsunicorn_worker_restarts_total{reason="crash"}'), kills);
  assert.deepEqual(
    server.logged('worker ended: SIGKILL').map(({ reason }) => reason),
    Array(kills).fill('crash'),
  );
  assert.equal(await server.stop(), 0);

  async function probe(): Promise<void> {
    while (server.logged('is ready').length < 2 + kills && server.exitCode === undefined) {
      const at = performance.now();
      await server.get('/').catch(() => undefined);
      slowest = Math.max(slowest, performance.now() - at);
    }
  }
});

test('a worker that dies right after it is ready is tried ever more seldom, while the others serve', async (t) => {
  const env = { ...quiet, TSUNICORN_CRASH_LIMIT: '4' };
  const server = await (await start(t, { app: 'broken/one-dies.js', env })).ready();
  const load = new Load(t, { port: server.port, clients: 4, kind: 'keep-alive' });
  const line = await server.untilLogged('workers in a row died within 5 s of readiness');
  const warning = '4 workers in a row died within 5 s of readiness: the restart backoff grows to 10 s';
  assert.deepEqual([line.level, line.msg], ['warn', warning]);
  await server.untilLogged('worker ended: exit code 9', 7);
  assert.ok((await server.metric('tsunicorn_worker_restarts_total{reason="crash"}')) >= 7);
  const ends = server.logged('worker ended: exit code 9').map(({ time }) => Date.parse(String(time)));
  const gap = (i: number): number => (ends[i] ?? 0) - (ends[i - 1] ?? 0);
  // The second is tried at once, the sixth and seventh after 800 and 1,600 ms.
  assert.ok(gap(5) >= 800 && gap(6) >= 1_600, `${ends.map((_, i) => gap(i))}`);
  assert.equal((await server.get('/')).body, 'ok');
  assert.deepEqual(
    Object.keys((await load.stop()).failures).filter((cause) => /connect/.test(cause)),
    [],
  );
  assert.equal(await server.stop(), 0);
});

test('an accept queue does not die with its worker: a neighbour serves it', async (t) => {
  const server = await (await start(t, { app: 'basic.js', env: quiet })).ready();
  const [victim = 0, neighbour = 0] = server.workerPids();
  process.kill(victim, 'SIGSTOP');
  process.kill(neighbour, 'SIGSTOP');
  // No worker accepts now: these wait in the queues of both slots.
  const queued = Array.from({ length: 24 }, () => server.get('/pid'));
  await waitFor('all are connected', () => established(server.port) >= 24);
  process.kill(victim, 'SIGKILL');
  process.kill(neighbour, 'SIGCONT');
  const answers = await Promise.all(queued);
  assert.ok(answers.every(({ status }) => status === 200));
  assert.equal(await server.stop(), 0);
});

test('an uncaught exception ends that worker alone, after its other requests', async (t) => {
  const env = { TSUNICORN_WORKERS: '1', TSUNICORN_GRACEFUL_TIMEOUT: '2' };
  const server = await (await start(t, { app: 'basic.js', env })).ready();
  const [old = 0] = server.workerPids();
  const slow = server.get('/slow?ms=700');
  const culprit = server.get('/uncaught').catch((error: NodeJS.ErrnoException) => error.code);
  const line = await server.untilLogged('this worker finishes its other requests and is replaced');
  assert.match(String((line.err as { stack: string }).stack), /uncaught on purpose[\s\S]*basic\.js/);
  // Until it stops to accept it serves what arrives; from then on its replacement does, and no request is lost between.
  await waitFor('its replacement serves', async () => {
    const { status, body } = await server.get('/pid');
    assert.equal(status, 200);
    return body !== String(old);
  });
  assert.equal((await slow).body, `slow ${old}`);
  await waitFor('the old worker is gone', () => !isRunning(old));
  assert.equal(await culprit, 'ECONNRESET');
  const crashes = () => server.metric('tsunicorn_worker_restarts_total{reason="crash"}');
  await waitFor('it is counted', async () => (await crashes()) === 1);
  assert.equal(await server.stop(), 0);
});

test('a handler that throws or rejects answers 500 and is logged with the request id', async (t) => {
  const server = await (await start(t, { app: 'basic.js' })).ready();
  const before = server.workerPids();
  const answer = await server.get('/throw', { headers: { 'x-request-id': 'r-1' } });
  assert.equal(answer.status, 500);
  const line = await server.untilLogged('the request handler failed');
  assert.equal(line.request_id, 'r-1');
  assert.match(String((line.err as { stack: string }).stack), /thrown on purpose/);
  // Once the head is out a 500 is not possible: the connection is cut, so that the client can tell.
  await assert.rejects(server.get('/late'));
  assert.deepEqual(server.workerPids(), before);
  // The other's is 200, as its head says.
  assert.equal(await server.metric('tsunicorn_http_requests_total{method="GET",code="500"}'), 1);
  assert.equal(await server.stop(), 0);
  assert.equal(server.access.find(({ path }) => path === '/throw')?.status, 500);
});

test('a stalled worker is killed and replaced; the admin endpoints answer all the while', async (t) => {
  const env = { TSUNICORN_TIMEOUT: '1', TSUNICORN_WORKERS: '1' };
  const server = await (await start(t, { app: 'basic.js', env })).ready();
  const stuck = server.get('/spin?ms=60000').catch((error: NodeJS.ErrnoException) => error.code);
  let answers = 0;
  await waitFor('it is killed', async () => {
    assert.equal((await server.admin('/livez')).status, 200);
    await server.admin('/metrics');
    if (server.logged('worker is killed: silent for 1 s').length === 1) return true;
    answers++;
    return false;
  });
  assert.ok(answers >= 2, `${answers} answers while it was stuck`);
  assert.equal(await stuck, 'ECONNRESET');
  await server.untilLogged('is ready', 2);
  assert.equal((await server.get('/')).body, 'hello');
  assert.equal(await server.metric('tsunicorn_worker_restarts_total{reason="stall"}'), 1);
  assert.equal(await server.stop(), 0);
});

test('a busy worker that still turns its loop is left alone', async (t) => {
  const env = { TSUNICORN_TIMEOUT: '1', TSUNICORN_WORKERS: '1' };
  const server = await (await start(t, { app: 'basic.js', env })).ready();
  for (let i = 0; i < 4; i++) assert.equal((await server.get('/spin?ms=600')).status, 200);
  assert.deepEqual(server.logged('is killed'), []);
  assert.equal(await server.stop(), 0);
});

test('a client that goes away is counted as such and leaves nothing in flight', async (t) => {
  const server = await (await start(t, { app: 'basic.js' })).ready();
  const aborted = new AbortController();
  const gone = server.get('/never', { signal: aborted.signal }).catch(() => 'aborted');
  await waitFor('in flight', async () => (await inFlight(server)) === 1);
  aborted.abort();
  assert.equal(await gone, 'aborted');
  await waitFor('nothing in flight', async () => (await inFlight(server)) === 0);
  await waitFor(
    'it is counted',
    async () => (await server.metric('tsunicorn_http_requests_total{method="GET",code="499"}')) === 1,
  );
  assert.equal(await server.stop(), 0);
  assert.equal(server.access.at(-1)?.status, 499);
});

test('a heap that fills within one turn of the loop is named as such too, and another abort is not', async (t) => {
  const env = { ...quiet, TSUNICORN_WORKERS: '1', TSUNICORN_WORKER_HEAP: '64MiB' };
  const server = await (await start(t, { app: 'heap.js', env })).ready();
  await assert.rejects(server.get('/fill-at-once'));
  const line = await server.untilLogged('worker ended');
  assert.equal(line.reason, 'heap');
  assert.match(line.msg, /its JavaScript heap was full \(.*; \d+ MiB of 64 MiB when it last reported\)/);
  await server.untilLogged('is ready', 2);
  assert.equal(await server.metric('tsunicorn_worker_restarts_total{reason="crash"}'), 1);
  process.kill(server.workerPids()[0] ?? 0, 'SIGABRT');
  const other = await server.untilLogged('worker ended', 2);
  assert.equal(other.reason, 'crash');
  assert.match(other.msg, /SIGABRT, not for lack of heap/);
  assert.equal(await server.stop(), 0);
});

test('without the native part the cause of an abort is a guess, and the log says so', async (t) => {
  const env = { ...quiet, TSUNICORN_WORKERS: '1', TSUNICORN_WORKER_HEAP: '192MiB', NODE_OPTIONS: '--no-addons' };
  const server = await (await start(t, { app: 'heap.js', env })).ready();
  assert.equal((await server.get('/fill')).body, 'ok');
  const line = await server.untilLogged('its JavaScript heap was full');
  assert.equal(line.reason, 'heap');
  assert.match(line.msg, /probably as.*of 192 MiB when it last reported/);
  assert.equal(await server.stop(), 0);
});

test('a heap that is full is named as such, with the setting that helps', async (t) => {
  const env = { ...quiet, TSUNICORN_WORKERS: '1', TSUNICORN_WORKER_HEAP: '128MiB' };
  const server = await (await start(t, { app: 'heap.js', env })).ready();
  assert.equal((await server.get('/fill')).body, 'ok');
  const line = await server.untilLogged('its JavaScript heap was full');
  assert.equal(line.reason, 'heap');
  assert.equal(line.level, 'error');
  assert.match(line.msg, /SIGABRT.*of 128 MiB when it last reported.*TSUNICORN_WORKER_HEAP/);
  assert.match(server.stderr, /JavaScript heap out of memory/);
  await server.untilLogged('is ready', 2);
  assert.equal(await server.metric('tsunicorn_worker_restarts_total{reason="crash"}'), 1);
  assert.equal(await server.stop(), 0);
});
