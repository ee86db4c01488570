/** A worker that is stuck: what becomes of new connections, and of itself; it is asked where, before it is killed. */
import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { scrape, total } from '../support/scrapes.ts';
import { type Answer, request, start } from '../support/server.ts';
import { SOONER_OR_LATER, waitFor } from '../support/wait.ts';

const ENV = { TSUNICORN_TIMEOUT: '1', TSUNICORN_WORKERS: '1' };

for (const [path, frame] of [
  ['/spin?ms=60000', /^at basic \(file:\/\/.*\/basic\.js:\d+:\d+\)/],
  ['/regex', /^at basic \(file:\/\/.*\/basic\.js:\d+:\d+\)/],
] as const) {
  test(`stuck in ${path}: file, line and function are in the log`, async (t) => {
    const server = await (await start(t, { app: 'basic.js', env: ENV })).ready();
    const stuck = server.get(path).catch((error: NodeJS.ErrnoException) => error.code);
    const { stack } = await server.untilLogged('worker is killed: silent for 1 s', 1, SOONER_OR_LATER);
    assert.match(String(stack), frame);
    assert.equal(await stuck, 'ECONNRESET');
    await server.untilLogged('is ready', 2);
    assert.equal(await server.stop(), 0);
  });
}

test('stuck in native code: no stack, what the kernel says, and killed all the same', async (t) => {
  const server = await (await start(t, { app: 'basic.js', env: ENV })).ready();
  const stuck = server.get('/native').catch((error: NodeJS.ErrnoException) => error.code);
  const { stack, process } = await server.untilLogged('worker is killed: silent for 1 s', 1, SOONER_OR_LATER);
  assert.deepEqual([stack, process], [undefined, 'running']);
  assert.equal(await stuck, 'ECONNRESET');
  await server.untilLogged('is ready', 2);
  assert.equal(await server.stop(), 0);
});

test('stopped from outside: no stack, and the log says so', async (t) => {
  const server = await (await start(t, { app: 'basic.js', env: ENV })).ready();
  const [pid = 0] = server.workerPids();
  process.kill(pid, 'SIGSTOP');
  const waiting = server.get('/').catch((error: NodeJS.ErrnoException) => error.code);
  const line = await server.untilLogged('worker is killed: silent for 1 s', 1, SOONER_OR_LATER);
  assert.deepEqual([line.stack, line.process], [undefined, 'stopped by a signal']);
  await server.untilLogged('is ready', 2);
  assert.equal(((await waiting) as Answer).body, 'hello', 'no worker had accepted it');
  assert.equal(await server.metric('tsunicorn_worker_restarts_total{reason="stall"}'), 1);
  assert.equal(await server.stop(), 0);
});

test('stuck while it loads', async (t) => {
  const env = { TSUNICORN_BOOT_TIMEOUT: '1', TSUNICORN_CRASH_LIMIT: '1', TSUNICORN_WORKERS: '1' };
  const server = await start(t, { app: 'broken/loops-at-import.js', env });
  const { stack } = await server.untilLogged('worker is killed: not ready within 1 s');
  assert.match(String(stack), /^at file:\/\/.*\/loops-at-import\.js:1:\d+/);
  assert.equal((await server.exited).code, 3);
});

test('without the native part the worker is killed without a stack', async (t) => {
  // What refuses to load is as good as not there.
  const env = { ...ENV, NODE_OPTIONS: '--no-addons' };
  const server = await (await start(t, { app: 'basic.js', env })).ready();
  const stuck = server.get('/spin?ms=60000').catch((error: NodeJS.ErrnoException) => error.code);
  const line = await server.untilLogged('worker is killed: silent for 1 s', 1, SOONER_OR_LATER);
  assert.deepEqual([line.stack, line.process], [undefined, 'running']);
  assert.equal(await stuck, 'ECONNRESET');
  assert.equal(await server.stop(), 0);
});

test('USR2: the report has the stack of a busy worker, and harms no idle one', async (t) => {
  const env = { TSUNICORN_TIMEOUT: '30', TSUNICORN_WORKERS: '2' };
  const server = await (await start(t, { app: 'basic.js', env })).ready();
  const busy = server.get('/spin?ms=5000');
  await waitFor("a report has the app's stack, and an idle worker", async () => {
    const before = server.logged('status report').length;
    server.signal('SIGUSR2');
    const report = await server.untilLogged('status report', before + 1);
    const workers = report.workers as { stack?: string; process?: string }[];
    return (
      workers.some(({ stack }) => /^at .*basic\.js/.test(stack ?? '')) &&
      workers.some(({ stack, process }) => stack === undefined && process === 'sleeping')
    );
  });
  assert.equal((await busy).status, 200);
  assert.deepEqual(server.logged('worker ended'), []);
  assert.equal(await server.stop(), 0);
});

test('while a worker is stuck its neighbour takes what waits for it, and what comes, long before it is killed', async (t) => {
  const env = { TSUNICORN_TIMEOUT: '60', TSUNICORN_WORKERS: '2', TSUNICORN_ACCESS_LOG: 'off' };
  const server = await (await start(t, { app: 'basic.js', env })).ready();
  const file = join(server.directory, 'go-on');
  const stuck = server.get(`/spin?ms=0&until=${file}`);
  await waitFor('it spins', () => existsSync(`${file}.begun`));
  // The kernel spreads them over the sockets of both, so about half of them wait in the stuck one's accept queue.
  const asking = ask(() => server.get('/pid'), 30);
  const queued = async () => total(await scrape(server), /^tsunicorn_accept_queue_length\{listener="/);
  await waitFor('they are seen there', async () => (await queued()) > 0);
  const pids = await asking;
  assert.equal(pids.size, 1);
  // Now that the neighbour accepts for both no client has to wait.
  assert.deepEqual(await ask(() => server.get('/pid'), 30), pids);
  assert.deepEqual(server.logged('worker is killed'), []);
  writeFileSync(file, '');
  assert.match((await stuck).body, /^spun/);
  await waitFor('both accept again', async () => (await ask(() => server.get('/pid'), 30)).size === 2);
  assert.deepEqual(server.logged('worker ended'), []);
  assert.equal(await server.stop(), 0);
});

test('the same with a unix socket for each slot', async (t) => {
  const env = { TSUNICORN_TIMEOUT: '60', TSUNICORN_WORKERS: '2', TSUNICORN_BIND: 'unix:app-{slot}.sock' };
  const server = await (await start(t, { app: 'basic.js', env })).ready();
  const get = (path: string, slot: number) => request({ socketPath: join(server.directory, `app-${slot}.sock`), path });
  const pidOf = async (slot: number) => (await get('/pid', slot)).body;
  const [own, neighbour] = [await pidOf(0), await pidOf(1)];
  const file = join(server.directory, 'go-on');
  const stuck = get(`/spin?ms=0&until=${file}`, 0);
  await waitFor('it spins', () => existsSync(`${file}.begun`));
  for (let i = 0; i < 2; i++) {
    assert.deepEqual(await ask(() => get('/pid', 0), 30), new Set([neighbour]));
  }
  writeFileSync(file, '');
  assert.equal((await stuck).body, `spun ${own}`);
  await waitFor('its own worker alone accepts there again', async () => {
    const pids = await ask(() => get('/pid', 0), 10);
    return pids.size === 1 && pids.has(own);
  });
  assert.deepEqual(server.logged(/worker is killed|worker ended/), []);
  assert.equal(await server.stop(), 0);
});

/** So many at once; the pids that answered. */
async function ask(get: () => Promise<{ body: string }>, requests: number): Promise<Set<string>> {
  let answered = 0;
  const pids = Array.from({ length: requests }, async () => {
    const { body } = await get();
    answered++;
    return body;
  });
  await waitFor('all are answered', () => answered === requests, { state: () => answered });
  return new Set(await Promise.all(pids));
}
