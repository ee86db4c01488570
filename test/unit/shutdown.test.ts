import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type { Acceptor } from '../../src/worker/http/accept.ts';
import { Connections } from '../../src/worker/http/connections.ts';
import { Peer } from '../../src/worker/http/peer.ts';
import { ConnectionDrain } from '../../src/worker/shutdown.ts';

const PEER = new Peer('tcp', '127.0.0.1', () => false);

const spin = (ms: number): void => {
  for (const until = performance.now() + ms; performance.now() < until; );
};

/** Connects, asks, and posts the outcome, while the thread of the server has no time. */
const CLIENT = `
  const { parentPort, workerData } = require('node:worker_threads');
  const socket = require('node:net').connect(workerData, '127.0.0.1', () => socket.write('GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n'));
  let said = '';
  socket.on('data', (data) => { said += data; });
  socket.on('error', (error) => { said += error.code; });
  socket.on('close', () => parentPort.postMessage(said));
`;

test('a connection is not taken for idle before its request could be read, however long the turn of the loop', async (t) => {
  const server = http.createServer((_request, response) => void response.end('answered'));
  const connections = new Connections(server, true, { count: () => {}, finished: () => {} });
  t.after(() => connections.dispose());
  const acceptor = { end: async () => {}, held: 0 } as unknown as Acceptor;
  const app = { begin: () => {}, close: () => {}, runHandlers: () => {} };
  const drained = Promise.withResolvers<void>();
  // All in one turn: accepted, a second of other requests, told to drain, and again other requests.
  const listener = net.createServer({ allowHalfOpen: true }, (socket) => {
    connections.add(socket, PEER, '0/0');
    spin(1_100);
    const drain = new ConnectionDrain({
      connections,
      acceptor,
      app,
      reload: false,
      drainQueues: false,
      stoppedAccepting: () => {},
    });
    drain.hasten(false, 25_000);
    void drain.run().then(drained.resolve);
    process.nextTick(() => spin(100));
    void (async () => {
      for (let i = 0; i < 20; i++) await undefined;
      spin(100);
    })();
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  t.after(() => listener.close());
  const client = new Worker(CLIENT, { eval: true, workerData: (listener.address() as net.AddressInfo).port });
  const [said] = await once(client, 'message');
  assert.match(said, /^HTTP\/1\.1 200 .*answered$/s);
  await Promise.race([drained.promise, sleep(5_000).then(() => assert.fail('it did not end'))]);
});

test('a stream that was ended is not closed before all of it is sent, and then it is', async (t) => {
  const server = http.createServer();
  const connections = new Connections(server, true, { count: () => {}, finished: () => {} });
  t.after(() => connections.dispose());
  const listener = net.createServer({ allowHalfOpen: true }, (socket) => {
    connections.add(socket, PEER, '0/0');
    connections.markUpgraded(socket);
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  t.after(() => listener.close());
  // It does not close by itself.
  const client = net.connect({ port: (listener.address() as net.AddressInfo).port, allowHalfOpen: true });
  t.after(() => client.destroy());
  while (connections.size === 0) await sleep(1);
  const [{ socket } = assert.fail()] = connections;

  const bytes = 16 * 1024 ** 2; // more than the kernel takes, see test/fixtures/apps/streams.js
  socket.write(Buffer.alloc(bytes, 'x'));
  connections.endStreams();
  connections.closeEnded();
  assert.deepEqual([socket.writableFinished, socket.destroyed], [false, false]);

  let received = 0;
  client.on('data', ({ length }) => {
    received += length;
  });
  await once(client, 'end');
  assert.equal(received, bytes);
  assert.equal(socket.destroyed, false);
  if (!socket.writableFinished) await once(socket, 'finish');
  connections.closeEnded();
  assert.equal(socket.destroyed, true);
});
