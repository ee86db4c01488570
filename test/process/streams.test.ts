/** WebSockets and server-sent events at the end of a worker: told first, then ended in order; uploads finish. */
import assert from 'node:assert/strict';
import net from 'node:net';
import { type TestContext, test } from 'node:test';
import { HANDSHAKE } from '../support/raw.ts';
import { start } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

/** A fifth of the graceful timeout is for ends in order: as much as a busy machine may need. */
const env = { TSUNICORN_WORKERS: '1', TSUNICORN_GRACEFUL_TIMEOUT: '5' };

const MEGABYTE = 1024 ** 2;
/** What /flood of the app writes. */
const FLOOD = 16 * MEGABYTE;

test('at TERM WebSockets and server-sent events are told, and end without a reset', (t) => end(t, 'SIGTERM'));
test('at HUP WebSockets and server-sent events are told, and end without a reset', (t) => end(t, 'SIGHUP'));

async function end(t: TestContext, how: 'SIGTERM' | 'SIGHUP'): Promise<void> {
  const server = await (await start(t, { app: 'streams.js', env })).ready();
  const handshake = Object.entries(HANDSHAKE).map(([name, value]) => `${name}: ${value}\r\n`);
  const webSocket = new Stream(t, server.port, `GET /socket HTTP/1.1\r\nHost: test\r\n${handshake.join('')}\r\n`);
  const events = new Stream(t, server.port, 'GET /events HTTP/1.1\r\nHost: test\r\n\r\n');
  await waitFor('upgraded', () => webSocket.text.includes('\r\n\r\n'));
  await waitFor('an event', () => events.text.includes('data: running'));
  webSocket.socket.write(Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69])); // "hi", section 5.2
  await waitFor('the echo', () => webSocket.text.endsWith('\x81\x02hi'));

  assert.equal(await server.metric('tsunicorn_connections{worker="0"}'), 2);
  server.signal(how);
  await waitFor('both have ended', () => webSocket.closed && events.closed);
  assert.deepEqual([webSocket.ended, webSocket.error], [true, undefined]);
  assert.deepEqual([events.ended, events.error], [true, undefined]);
  assert.match(webSocket.text, /goodbye$/);
  assert.match(events.text, /data: stopping/);
  if (how === 'SIGTERM') assert.equal((await server.exited).code, 0);
  else {
    await waitFor('the old worker is gone', () => server.workerPids().length === 1);
    assert.equal(await server.stop(), 0);
  }
  assert.equal(server.logged('worker drains: ').length, how === 'SIGTERM' ? 1 : 2);
  assert.deepEqual(server.logged('is killed'), []);
  assert.deepEqual(server.logged('uncaught'), []);
}

test('at INT during a drain WebSockets are ended in order within the second that is left', async (t) => {
  const server = await (
    await start(t, { app: 'streams.js', env: { ...env, TSUNICORN_GRACEFUL_TIMEOUT: '60' } })
  ).ready();
  const handshake = Object.entries(HANDSHAKE).map(([name, value]) => `${name}: ${value}\r\n`);
  const stream = new Stream(t, server.port, `GET /socket HTTP/1.1\r\nHost: test\r\n${handshake.join('')}\r\n`);
  await waitFor('upgraded', () => stream.text.includes('\r\n\r\n'));
  server.signal('SIGTERM');
  await waitFor('it is told', () => stream.text.endsWith('goodbye'));
  assert.equal(await server.metric('tsunicorn_connections{worker="0"}'), 1);
  server.signal('SIGINT');
  await waitFor('closed', () => stream.closed);
  assert.deepEqual([stream.ended, stream.error], [true, undefined]);
  assert.equal((await server.exited).code, 0);
  await server.untilLogged('worker drains: server is stopping at once');
  assert.deepEqual(server.logged('is killed'), []);
});

test('a client that goes on sending after the end is not reset before the time is over', async (t) => {
  const server = await (await start(t, { app: 'streams.js', env })).ready();
  const handshake = Object.entries(HANDSHAKE).map(([name, value]) => `${name}: ${value}\r\n`);
  const stream = new Stream(t, server.port, `GET /socket HTTP/1.1\r\nHost: test\r\n${handshake.join('')}\r\n`);
  await waitFor('upgraded', () => stream.text.includes('\r\n\r\n'));
  const timer = setInterval(() => stream.socket.write(Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69])), 1);
  t.after(() => clearInterval(timer));
  server.signal('SIGTERM');
  await waitFor('closed', () => stream.closed);
  assert.ok(stream.ended, String(stream.error));
  assert.equal((await server.exited).code, 0);
});

test('what waits for slow clients when streams are ended reaches them, before the end of the connection', async (t) => {
  // The streams are ended after four seconds, closed after four and a half, and the worker is killed after five.
  const server = await (await start(t, { app: 'streams.js', env })).ready();
  const handshake = Object.entries(HANDSHAKE).map(([name, value]) => `${name}: ${value}\r\n`);
  const webSocket = new Stream(t, server.port, `GET /flood HTTP/1.1\r\nHost: test\r\n${handshake.join('')}\r\n`);
  const events = new Stream(t, server.port, 'GET /flood HTTP/1.1\r\nHost: test\r\n\r\n');
  const other = new Stream(t, server.port, 'GET /events HTTP/1.1\r\nHost: test\r\n\r\n');
  const slow = [webSocket, events];
  for (const { socket } of slow) socket.pause();
  await waitFor('megabytes wait in the server', async () => {
    const pending = (await server.get('/pending')).body.split(',').map(Number);
    return pending.length === slow.length && pending.every((bytes) => bytes > MEGABYTE);
  });
  server.signal('SIGTERM');
  await waitFor('streams are ended', () => other.closed);
  assert.deepEqual(
    slow.map(({ ended, closed }) => ended || closed),
    [false, false],
  );
  for (const { socket } of slow) socket.resume();
  await waitFor('both are closed', () => slow.every(({ closed }) => closed));
  for (const { ended, error, text } of slow) {
    assert.deepEqual([ended, error], [true, undefined]);
    assert.equal(text.match(/x{2,}/g)?.join('').length, FLOOD);
  }
  assert.equal((await server.exited).code, 0);
  assert.deepEqual(server.logged('is killed'), []);
});

test('an upload that began before TERM is answered', async (t) => {
  const server = await (
    await start(t, { app: 'streams.js', env: { ...env, TSUNICORN_GRACEFUL_TIMEOUT: '10' } })
  ).ready();
  const size = 400_000;
  const upload = new Stream(
    t,
    server.port,
    `POST /upload HTTP/1.1\r\nHost: test\r\nContent-Length: ${size}\r\n\r\n${'x'.repeat(size / 4)}`,
  );
  await waitFor(
    'it is in flight',
    async () => (await server.metric('tsunicorn_http_requests_in_flight{worker="0"}')) === 1,
  );
  server.signal('SIGTERM');
  await server.untilLogged('worker drains');
  await waitFor('connections are refused', () => refused(server.port));
  upload.socket.write('x'.repeat((size * 3) / 4));
  await waitFor('closed', () => upload.closed);
  assert.equal(upload.error, undefined);
  assert.match(upload.text, new RegExp(`^HTTP/1\\.1 200 OK\r\n[\\s\\S]*\r\nConnection: close\r\n[\\s\\S]*${size}`));
  assert.equal((await server.exited).code, 0);
  assert.deepEqual(server.logged('is killed'), []);
});

class Stream {
  readonly socket: net.Socket;
  text = '';
  ended = false;
  closed = false;
  error: Error | undefined;

  constructor(t: { after(fn: () => unknown): void }, port: number, request: string) {
    this.socket = net.connect({ port, host: '127.0.0.1' });
    t.after(() => this.socket.destroy());
    this.socket.setEncoding('latin1').on('data', (text: string) => {
      this.text += text;
    });
    this.socket.on('end', () => {
      this.ended = true;
    });
    this.socket.on('close', () => {
      this.closed = true;
    });
    this.socket.on('error', (error) => {
      this.error = error;
    });
    this.socket.write(request, 'latin1');
  }
}

function refused(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = net.connect({ port, host: '127.0.0.1' });
  socket.once('connect', () => resolve(false));
  socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'));
  return promise.finally(() => socket.destroy());
}
