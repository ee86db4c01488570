import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Load } from '../support/load.ts';
import { scrape } from '../support/scrapes.ts';
import { isRunning, start, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

test('TERM under keep-alive, short and slow load loses nothing', async (t) => {
  const server = await start(t, { app: 'basic.js', env: { TSUNICORN_DRAIN_DELAY: '1', TSUNICORN_ACCESS_LOG: 'off' } });
  await server.ready();
  const { port } = server;
  const loads = [
    new Load(t, { port, clients: 16, kind: 'keep-alive' }),
    new Load(t, { port, clients: 8, kind: 'short' }),
    new Load(t, { port, clients: 8, kind: 'short', path: '/slow?ms=400' }),
    new Load(t, { port, clients: 4, kind: 'keep-alive', path: '/slow?ms=150' }),
  ];
  await waitFor('every load has answers', () => loads.every((load) => load.result.ok > 20));
  server.signal('SIGTERM');
  // As a balancer: it stops to open connections once readiness is gone.
  await waitFor('readiness is gone', async () => (await server.admin('/readyz')).status === 503);
  assert.equal(await server.metric('tsunicorn_draining'), 1);
  const results = await Promise.all(loads.map((load) => load.stopOpening()));
  assert.equal((await server.exited).code, 0);
  for (const result of results) assert.deepEqual(result.failures, {});
  assert.equal(server.log.at(-1)?.msg, 'stopped as asked');
});

test('new connections are accepted during the drain delay, told to close, and refused after it', async (t) => {
  const server = await start(t, { app: 'basic.js', env: { TSUNICORN_DRAIN_DELAY: '1' } });
  await server.ready();
  const slow = server.get('/slow?ms=1800');
  await inHand(server);
  server.signal('SIGTERM');
  await waitFor('readiness is gone', async () => (await server.admin('/readyz')).status === 503);
  assert.equal((await server.admin('/livez')).status, 200);
  const during = await server.get('/', { headers: { connection: 'keep-alive' } });
  assert.equal(during.status, 200);
  assert.equal(during.headers.connection, 'close');
  await waitFor('connections are refused', () => refused(server.port));
  assert.equal((await slow).status, 200);
  assert.equal((await server.exited).code, 0);
});

test('what waits in the accept queue is served', async (t) => {
  const server = await start(t, { app: 'basic.js', env: { TSUNICORN_WORKERS: '1' } });
  await server.ready();
  const spin = server.get('/spin?ms=700');
  await server.get('/pid').catch(() => undefined); // comes back after the spin: the loop is busy from here to there
  await spin;
  const again = server.get('/spin?ms=700');
  await sleep(50);
  const queued = Array.from({ length: 20 }, () => server.get('/'));
  server.signal('SIGTERM');
  for (const answer of await Promise.all(queued)) assert.equal(answer.body, 'hello');
  assert.equal((await again).status, 200);
  assert.equal((await server.exited).code, 0);
});

test('idle keep-alive connections do not hold up the stop', async (t) => {
  const server = await start(t, { app: 'basic.js' });
  await server.ready();
  const sockets = Array.from({ length: 10 }, () => net.connect({ port: server.port, host: '127.0.0.1' }));
  await Promise.all(sockets.map((socket) => once(socket, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n')));
  const before = performance.now();
  assert.equal(await server.stop(), 0);
  assert.ok(performance.now() - before < 10_000, 'long before the graceful timeout');
  for (const socket of sockets) socket.destroy();
});

const FORMS = ['setHeader', 'object', 'status', 'flat', 'pairs', 'both', 'headers', 'other'];

test('Connection: keep-alive of the app does not hold up the drain', async (t) => {
  const env = { TSUNICORN_WORKERS: '1', TSUNICORN_GRACEFUL_TIMEOUT: '20' };
  const server = await (await start(t, { app: 'programs/keep-alive.js', env })).ready();
  const agent = new http.Agent({ keepAlive: true });
  t.after(() => agent.destroy());
  for (const form of FORMS) assert.notEqual((await server.get(`/${form}`, { agent })).headers.connection, 'close');
  const asked = FORMS.map((form) => server.get(`/${form}?1500`, { agent }));
  await inHand(server, FORMS.length);
  const began = performance.now();
  server.signal('SIGTERM');
  for (const { status, body, headers } of await Promise.all(asked)) {
    assert.deepEqual([status, headers.connection, headers['x-form']], [200, 'close', 'set'], body);
  }
  assert.equal((await server.exited).code, 0);
  assert.ok(performance.now() - began < 10_000, 'long before the graceful timeout');
});

test('nor does it keep a connection without keep-alive', async (t) => {
  const env = { TSUNICORN_WORKERS: '1', TSUNICORN_KEEPALIVE: '0' };
  const server = await (await start(t, { app: 'programs/keep-alive.js', env })).ready();
  for (const form of FORMS) assert.equal((await server.get(`/${form}`)).headers.connection, 'close', form);
  assert.equal(await server.stop(), 0);
});

test('what outlasts the graceful timeout is killed, said in the log, and the exit is 0', async (t) => {
  const server = await start(t, { app: 'basic.js', env: { TSUNICORN_GRACEFUL_TIMEOUT: '1' } });
  await server.ready();
  const never = server.get('/never').then(
    () => 'answered',
    (error: NodeJS.ErrnoException) => error.code,
  );
  await inHand(server);
  const before = performance.now();
  assert.equal(await server.stop(), 0);
  const took = performance.now() - before;
  assert.ok(took > 900 && took < 10_000, `${took} ms`);
  assert.equal(await never, 'ECONNRESET');
  assert.equal(server.logged('worker is killed: still draining at its deadline').length, 1);
});

test('a second TERM changes nothing; INT gives a second, and a second INT none', async (t) => {
  const server = await start(t, { app: 'basic.js' });
  await server.ready();
  const slow = server.get('/slow?ms=1000');
  await inHand(server);
  server.signal('SIGTERM');
  server.signal('SIGTERM');
  assert.equal((await slow).status, 200);
  assert.equal((await server.exited).code, 0);

  const other = await (await start(t, { app: 'basic.js' })).ready();
  const never = other.get('/never').catch((error: NodeJS.ErrnoException) => error.code);
  await inHand(other);
  const before = performance.now();
  other.signal('SIGINT');
  assert.equal((await other.exited).code, 0);
  const took = performance.now() - before;
  assert.ok(took > 800 && took < 10_000, `${took} ms`);
  assert.equal(await never, 'ECONNRESET');

  const third = await (await start(t, { app: 'basic.js' })).ready();
  const cut = third.get('/never').catch((error: NodeJS.ErrnoException) => error.code);
  await inHand(third);
  third.signal('SIGQUIT');
  await third.untilLogged('received SIGQUIT');
  third.signal('SIGINT');
  assert.equal((await third.exited).code, 0);
  const [received, killed] = ['received SIGINT', 'worker is killed'].map((text) => third.logged(text)[0]?.time);
  const within = Date.parse(String(killed)) - Date.parse(String(received));
  assert.ok(within >= 0 && within < 700, `killed at ${killed}, ${within} ms after SIGINT`);
  assert.equal(await cut, 'ECONNRESET');
});

test('TERM while workers boot ends at once with 0', async (t) => {
  const server = await start(t, { app: 'slow-boot.js' });
  await server.untilLogged('listening on');
  assert.equal(await server.stop(), 0);
  assert.deepEqual(server.logged('is ready'), []);
});

test('workers end when the arbiter is killed, with a request in flight or without', async (t) => {
  const server = await (await start(t, { app: 'basic.js' })).ready();
  const slow = server.get('/slow?ms=1000');
  await inHand(server);
  const workers = server.workerPids();
  assert.equal(workers.length, 2);
  server.signal('SIGKILL');
  assert.match((await slow).body, /slow/);
  await waitFor('the workers are gone', () => !workers.some(isRunning));
  assert.equal(await refused(server.port), true);
});

test('a worker that still boots ends when the arbiter is killed', async (t) => {
  const server = await start(t, { app: 'slow-boot.js' });
  await waitFor('the workers are there', () => server.workerPids().length === 2);
  const workers = server.workerPids();
  server.signal('SIGKILL');
  await server.exited;
  await waitFor('they are gone', () => !workers.some(isRunning));
});

/** One of the two workers has a request. */
async function inHand(server: TestServer, requests = 1): Promise<void> {
  await waitFor('requests are in flight', async () => {
    const { series } = await scrape(server);
    return [0, 1].some((worker) => (series[`tsunicorn_http_requests_in_flight{worker="${worker}"}`] ?? 0) >= requests);
  });
}

function refused(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = net.connect({ port, host: '127.0.0.1' });
  socket.once('connect', () => resolve(false));
  socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'));
  return promise.finally(() => socket.destroy());
}

function once(socket: net.Socket, request: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  socket.once('error', reject);
  socket.once('data', (data) => resolve(String(data)));
  socket.write(request);
  return promise;
}
