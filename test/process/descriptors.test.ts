/** A worker, or the arbiter, that has used up its file descriptors (RLIMIT_NOFILE). */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { type TestContext, test } from 'node:test';
import { CpuGroup, NEEDS } from '../support/cpu-group.ts';
import { raw } from '../support/raw.ts';
import { start, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const LIMIT = 100;

const wrapper = ['sh', '-c', `ulimit -n ${LIMIT} && exec "$@"`, 'sh'];

test('a worker without a free descriptor goes on, reports, and serves again when there are some', async (t) => {
  const server = await start(t, { app: 'basic.js', env: { TSUNICORN_WORKERS: '1' }, wrapper });
  await server.ready();
  const pids = server.workerPids();
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  assert.equal((await server.get('/', { agent })).body, 'hello');
  const free = await takeAll(t, server, pids);
  let answer = '';
  const late = raw(server.port, 'GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n');
  void late.then((text) => {
    answer = text;
  });
  assert.ok((await server.metric('tsunicorn_connections{worker="0"}')) > LIMIT / 2); // asks the worker for a report
  assert.equal((await server.get('/', { agent })).body, 'hello', 'who is connected is served');
  assert.equal(answer, '', 'who comes now is not');
  agent.destroy();
  free();
  assert.match(await late, /^(HTTP\/1\.1 200 OK\r\n[\s\S]*hello)?$/, 'it has waited, or was closed');
  await waitFor('it has let go of them', async () => (await server.metric('tsunicorn_connections{worker="0"}')) === 0);
  assert.equal((await server.get('/')).body, 'hello');
  assert.deepEqual(server.workerPids(), pids);
  assert.deepEqual(server.logged('uncaught'), []);
  assert.equal(await server.stop(), 0);
});

test('idle connections to the admin port leave the arbiter descriptors for workers, and are closed in the end', async (t) => {
  const wide = ['sh', '-c', 'ulimit -n 128 && exec "$@"', 'sh'];
  const server = await (await start(t, { app: 'basic.js', env: { TSUNICORN_WORKERS: '1' }, wrapper: wide })).ready();
  let open = 0;
  const idle = Array.from({ length: 150 }, () => {
    open++;
    const socket = net.connect({ port: server.adminPort, host: '127.0.0.1' });
    return socket.on('error', () => undefined).on('close', () => open--);
  });
  t.after(() => idle.forEach((socket) => void socket.destroy()));
  await waitFor('it has turned the others away', () => open <= 64);
  const [worker = 0] = server.workerPids();
  process.kill(worker, 'SIGKILL');
  await server.untilLogged('worker is ready', 2);
  assert.equal((await server.get('/')).body, 'hello');
  await waitFor('it answers again', async () => (await server.admin('/livez').catch(() => undefined))?.status === 200, {
    seconds: 40,
  });
  assert.equal(await server.stop(), 0);
});

test('the socket of a slot is served though its neighbour had no free descriptor when it was to take over', async (t) => {
  const server = await start(t, { app: 'basic.js', env: { TSUNICORN_WORKERS: '2' }, wrapper });
  await server.ready();
  const pids = server.workerPids();
  const free = await takeAll(t, server, pids);
  server.signal('SIGTTOU');
  await waitFor('one worker is left', () => server.workerPids().length === 1);
  // It answers after what was sent to it before, which was the socket of the other slot.
  assert.ok((await server.metric('tsunicorn_connections{worker="0"}')) > 0);
  free();
  await waitFor('it has let go of them', async () => (await server.metric('tsunicorn_connections{worker="0"}')) === 0);
  // The kernel spreads new connections over the sockets of both slots.
  let answers = 0;
  for (let i = 0; i < 40; i++) void server.get('/').then(() => answers++);
  await waitFor('all are answered', () => answers === 40);
  assert.equal(await server.stop(), 0);
});

test('an arbiter without a free descriptor keeps the limits that it knows and those who serve, and recovers', async (t) => {
  if (spawnSync('prlimit', ['--version']).status !== 0) return t.skip('there is no prlimit(1)');
  // One CPU of two: a quota that is not known any more would be two CPUs, and four workers.
  const group = CpuGroup.make(t, 1);
  if (!group) return t.skip(NEEDS);
  const env = { TSUNICORN_WORKERS: undefined, TSUNICORN_WORKERS_PER_CPU: '2', TSUNICORN_RESIZE_INTERVAL: '0.1' };
  const server = await (await start(t, { app: 'basic.js', env, wrapper: group.wrapper })).ready();
  const [victim = 0, other] = server.workerPids();
  const takeRest = () => spawnSync('prlimit', ['--pid', String(server.pid), `--nofile=${firstFree(server.pid)}:`]);
  await waitFor('it has none left', () => {
    takeRest();
    // It is accepted with the one that libuv has in reserve, and closed.
    return server.admin('/livez').then(
      () => false,
      () => true,
    );
  });
  process.kill(victim, 'SIGKILL');
  // As many tries as would end a server that has no other worker, while it looks at the limits thirty times.
  const [line] = await waitFor('it tries in vain', () => {
    takeRest(); // those of the worker that is gone
    const lines = server.logged(/^worker ended: spawn .* EMFILE$/);
    return lines.length >= 6 && lines;
  });
  assert.equal(line?.reason, 'boot');
  const answers = await Promise.all(Array.from({ length: 20 }, () => server.get('/pid')));
  assert.deepEqual(new Set(answers.map(({ body }) => Number(body))), new Set([other]));
  assert.equal(server.exitCode, undefined);
  assert.deepEqual(server.logged(/resized|limits changed|fewer workers|no further worker/), []);

  spawnSync('prlimit', ['--pid', String(server.pid), '--nofile=1024:']);
  await server.untilLogged('is ready', 3);
  await waitFor('two workers', () => server.workerPids().length === 2);
  assert.equal((await server.admin('/readyz')).status, 200);
  assert.ok((await server.metric('tsunicorn_worker_restarts_total{reason="boot"}')) >= 6);
  assert.deepEqual(server.logged(/resized|limits changed|fewer workers|no further worker/), []);
  assert.equal(await server.stop(), 0);
});

function firstFree(pid: number): number {
  const used = new Set(readdirSync(`/proc/${pid}/fd`).map(Number));
  for (let fd = 0; ; fd++) if (!used.has(fd)) return fd;
}

/** Connects until none of the workers has a descriptor left. Returns what closes the connections. */
async function takeAll(t: TestContext, { port }: TestServer, pids: readonly number[]): Promise<() => void> {
  const sockets = Array.from({ length: 2 * LIMIT * pids.length }, () => net.connect({ port, host: '127.0.0.1' }));
  const free = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  t.after(free);
  for (const socket of sockets) socket.on('error', () => undefined);
  // libuv keeps one in reserve, with which it turns away whom it cannot take.
  const isFull = (pid: number): boolean => readdirSync(`/proc/${pid}/fd`).length >= LIMIT - 1;
  await waitFor('all are in use', () => pids.every(isFull));
  return free;
}
