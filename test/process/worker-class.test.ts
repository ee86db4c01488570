import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from 'node:test';
import { acceptedBy, queuedAt } from '../support/kernel-sockets.ts';
import { Load } from '../support/load.ts';
import { scrape, total } from '../support/scrapes.ts';
import { established, start } from '../support/server.ts';
import { SOONER_OR_LATER, waitFor } from '../support/wait.ts';

test('sync: one connection at a time per worker, no keep-alive, the idle worker takes the next', async (t) => {
  const env = { TSUNICORN_WORKER_CLASS: 'sync', TSUNICORN_ACCESS_LOG: 'off' };
  const server = await (await start(t, { app: 'concurrency.js', env })).ready();
  const answer = await server.get('/', { headers: { connection: 'keep-alive' } });
  assert.equal(answer.headers.connection, 'close');
  // Eight at once over two workers: never two in one worker, and both work all the time.
  const at = performance.now();
  const answers = await Promise.all(Array.from({ length: 8 }, () => server.get('/?ms=500')));
  const took = performance.now() - at;
  assert.deepEqual([...new Set(answers.map(({ body }) => body))], ['1']);
  assert.ok(took < 8 * 500 - 500, `${took} ms: one worker alone takes 4000`);
  assert.equal(await server.stop(), 0);
});

test('sync: the timeout covers the request, also where it only waits', async (t) => {
  const env = { TSUNICORN_WORKER_CLASS: 'sync', TSUNICORN_TIMEOUT: '1', TSUNICORN_WORKERS: '1' };
  const server = await (await start(t, { app: 'basic.js', env })).ready();
  await assert.rejects(server.get('/slow?ms=60000'));
  await server.untilLogged('worker is killed: silent for 1 s', 1, SOONER_OR_LATER);
  await server.untilLogged('is ready', 2);
  assert.equal((await server.get('/slow?ms=200')).status, 200);
  assert.equal(await server.stop(), 0);
});

test('sync: TERM serves what waits, one after the other', async (t) => {
  const env = { TSUNICORN_WORKER_CLASS: 'sync', TSUNICORN_WORKERS: '1', TSUNICORN_ACCESS_LOG: 'off' };
  const server = await (await start(t, { app: 'concurrency.js', env })).ready();
  const waiting = Array.from({ length: 10 }, () => server.get('/?ms=100'));
  await waitFor('all are connected', () => established(server.port) >= 10);
  server.signal('SIGTERM');
  const answers = await Promise.all(waiting);
  assert.deepEqual([...new Set(answers.map(({ status, body }) => `${status} ${body}`))], ['200 1']);
  assert.equal((await server.exited).code, 0);
});

test('a connection cap under load: never more in one worker, and nothing is lost', async (t) => {
  const env = { TSUNICORN_WORKER_CONNECTIONS: '4', TSUNICORN_ACCESS_LOG: 'off' };
  const server = await (await start(t, { app: 'concurrency.js', env })).ready();
  const load = new Load(t, { port: server.port, clients: 40, kind: 'short', path: '/?ms=20' });
  let most = 0;
  await waitFor('the load goes on', async () => {
    for (const worker of [0, 1])
      most = Math.max(most, await server.metric(`tsunicorn_connections{worker="${worker}"}`));
    return load.result.ok > 400;
  });
  assert.deepEqual((await load.stop()).failures, {});
  assert.ok(most > 0 && most <= 4, `${most} connections in one worker`);
  const last = await server.get('/most');
  assert.ok(Number(last.body) <= 4, `${last.body} requests at once in one worker`);
  assert.equal(await server.stop(), 0);
});

/** Who asks once, and stays. */
class Guest {
  readonly socket: net.Socket;
  isAnswered = false;

  constructor(t: { after(fn: () => unknown): void }, port: number) {
    this.socket = net.connect(port, '127.0.0.1').on('data', () => {
      this.isAnswered = true;
    });
    this.socket.write('GET / HTTP/1.1\r\nHost: test\r\n\r\n');
    t.after(() => this.socket.destroy());
  }
}

for (const workers of [1, 2]) {
  const cap = 2;
  const room = workers * cap;
  test(`at the connection cap the kernel has the excess, and hands it out as others leave: ${workers} worker(s)`, async (t) => {
    const env = {
      TSUNICORN_WORKER_CONNECTIONS: `${cap}`,
      TSUNICORN_WORKERS: `${workers}`,
      TSUNICORN_ACCESS_LOG: 'off',
    };
    const server = await (await start(t, { app: 'basic.js', env })).ready();
    const pids = server.workerPids();
    await server.untilLogged('is ready', workers);
    const log = server.log.length;
    const guests = Array.from({ length: 10 }, () => new Guest(t, server.port));
    const accepted = (): number[] => pids.map((pid) => acceptedBy(pid, server.port));
    const state = (): string => `${accepted()} accepted, ${queuedAt(server.port)} in the queue`;
    for (let left = 0; left < guests.length; left++) {
      const answered = Math.min(left + room, guests.length);
      const excess = guests.length - answered;
      await waitFor(
        `${answered} have been answered, and ${excess} wait in the kernel`,
        () => guests.filter(({ isAnswered }) => isAnswered).length === answered && queuedAt(server.port) === excess,
        { state },
      );
      if (excess > 0) {
        assert.deepEqual(accepted(), Array(workers).fill(cap));
        assert.equal(total(await scrape(server), /^tsunicorn_accept_queue_length/), excess);
      }
      guests.find(({ isAnswered, socket }) => isAnswered && !socket.destroyed)?.socket.destroy();
    }
    assert.deepEqual(server.workerPids(), pids);
    assert.equal(server.log.length, log, server.stderr);
    assert.equal(await server.stop(), 0);
  });
}
