/** Handshakes before an app's upgrade listener: refused early, held back for want of memory, or the app's. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http, { type IncomingMessage } from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { Duplex } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { MemoryAdmission } from '../../src/worker/admission/memory.ts';
import { Overload } from '../../src/worker/admission/overload.ts';
import { type Refusal, refuseHandshake } from '../../src/worker/http/error-responses.ts';
import type { GateExtras } from '../../src/worker/http/gate.ts';
import { createServer } from '../../src/worker/http/server.ts';
import { HANDSHAKE } from '../support/raw.ts';
import { waitFor } from '../support/wait.ts';

const SETTINGS = {
  keepalive: 75,
  headerTimeout: 10,
  bodyTimeout: 300,
  limitHeaderSize: 16_384,
  limitRequestLine: 100,
  limitRequestFields: 10,
  limitBodySize: 0,
};

const FIELDS = Object.entries({ Host: 'test', ...HANDSHAKE }).map(([name, value]) => `${name}: ${value}\r\n`);
const handshake = (path: string, ...more: string[]): string =>
  `GET ${path} HTTP/1.1\r\n${[...FIELDS, ...more].join('')}\r\n`;
const UPGRADED = 'HTTP/1.1 101 Switching Protocols\r\n\r\n';

interface Client {
  readonly socket: net.Socket;
  readonly text: () => string;
  /** The server has ended the connection, in order. */
  readonly ended: () => boolean;
}

/** An app that upgrades, and echoes; what tsunicorn makes of it; and who comes. */
async function scene(t: TestContext, extras: GateExtras) {
  const refused: Refusal[] = [];
  const upgraded: net.Socket[] = [];
  const served: string[] = [];
  const app = http.createServer((request, response) => {
    served.push(request.url ?? '');
    response.end('hello');
  });
  const take = (request: IncomingMessage, socket: net.Socket, head: Buffer): void => {
    served.push(request.url ?? '');
    socket.on('error', () => undefined);
    socket.write(UPGRADED);
    socket.write(head);
    socket.on('data', (data) => socket.write(data));
    socket.on('end', () => socket.end());
  };
  for (const event of ['upgrade', 'connect']) app.on(event, take);
  const server = createServer(
    { kind: 'server', name: 'app', server: app },
    SETTINGS,
    {
      refused: (why) => void refused.push(why),
      upgraded: (socket) => void upgraded.push(socket),
      handlerFailed: () => assert.fail(),
      malformed: () => assert.fail(),
    },
    extras,
  );
  const accepted: net.Socket[] = [];
  const listener = net.createServer({ allowHalfOpen: true }, (socket) => {
    accepted.push(socket);
    server.emit('connection', socket);
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  t.after(() => {
    listener.close();
    app.close();
    for (const socket of accepted) socket.destroy();
  });
  const come = (text: string): Client => {
    const { port } = listener.address() as AddressInfo;
    const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    t.after(() => socket.destroy());
    let received = '';
    let ended = false;
    socket.setEncoding('latin1').on('data', (data: string) => {
      received += data;
    });
    socket.on('end', () => {
      ended = true;
    });
    socket.write(text);
    return { socket, text: () => received, ended: () => ended };
  };
  return { app, come, refused, upgraded, served, accepted };
}

/** Memory admission that holds requests until it is let go. */
function holding(): { memory: MemoryAdmission; letGo: () => void } {
  let used = 950;
  const memory = new MemoryAdmission({
    now: () => 0,
    connections: () => 0,
    full: () => undefined,
    hold: () => undefined,
  });
  const quick = (): number => used;
  memory.watch([{ limitBytes: 1000, reserveBytes: 100, quick, exact: quick }]);
  const letGo = (): void => {
    used = 0;
  };
  return { memory, letGo };
}

function late(): { overload: Overload; fallBehind: () => void; catchUp: () => void } {
  let now = 0;
  const overload = new Overload(200, () => now);
  const fallBehind = (): void => {
    now += 1_000;
  };
  const catchUp = (): void => {
    overload.tick();
    now += 100;
    overload.tick();
  };
  return { overload, fallBehind, catchUp };
}

for (const [what, text] of [
  ['a WebSocket handshake', handshake('/socket')],
  ['CONNECT', 'CONNECT test:1 HTTP/1.1\r\nHost: test\r\n\r\n'],
  ['a handshake with a body', handshake('/socket', 'Content-Length: 5\r\n')],
] as const) {
  test(`an event loop that is late refuses ${what}, and takes the next one when it has caught up`, async (t) => {
    const { overload, fallBehind, catchUp } = late();
    const { come, refused, upgraded, served } = await scene(t, { overload });
    fallBehind();
    const first = come(text);
    await waitFor('it is refused', () => first.ended());
    assert.match(first.text(), /^HTTP\/1\.1 503 Service Unavailable\r\n/);
    assert.match(first.text(), /\r\nRetry-After: 1\r\n/);
    assert.match(first.text(), /\r\nConnection: close\r\n/);
    assert.ok(first.text().endsWith('\r\n\r\n503 Service Unavailable\n'));
    assert.deepEqual([refused, upgraded, served], [['overload'], [], []]);
    catchUp();
    const second = come(text);
    await waitFor('it is taken', () => second.text() === UPGRADED);
    assert.equal(upgraded.length, 1);
    assert.deepEqual(refused, ['overload']);
  });
}

test('the limits of requests hold for handshakes', async (t) => {
  const { come, refused, served } = await scene(t, {});
  const line = come(handshake(`/${'a'.repeat(100)}`));
  const fields = come(handshake('/', ...Array.from({ length: 6 }, (_, i) => `X-${i}: y\r\n`)));
  await waitFor('both are refused', () => line.ended() && fields.ended());
  assert.match(line.text(), /^HTTP\/1\.1 414 /);
  assert.match(fields.text(), /^HTTP\/1\.1 431 /);
  assert.deepEqual(refused, ['uri_too_long', 'too_many_fields']);
  assert.deepEqual(served, []);
});

test('a handshake behind a request without an answer is not refused in its place', async (t) => {
  const { overload, fallBehind } = late();
  const { app, come, refused, served } = await scene(t, { overload });
  app.removeAllListeners('request').on('request', (request) => void served.push(request.url ?? ''));
  const client = come('GET /never HTTP/1.1\r\nHost: test\r\n\r\n');
  await waitFor('it is in hand', () => served.length === 1);
  fallBehind();
  client.socket.on('error', () => undefined).write(handshake('/socket'));
  await waitFor('the connection is closed', () => client.socket.closed || client.ended());
  assert.equal(client.text(), '');
  assert.deepEqual(refused, ['overload']);
});

test('a client that is gone does not hear that it is refused, and nothing else comes of it', async () => {
  const write = (_chunk: unknown, _encoding: unknown, done: (error: Error) => void): void => done(new Error('EPIPE'));
  const stream = new Duplex({ read: () => undefined, write });
  refuseHandshake({ socket: {} } as IncomingMessage, stream, 503);
  await waitFor('it is closed', () => stream.closed);
});

test('while memory admission holds requests, handshakes wait with the requests, in order, and keep what their clients have sent', async (t) => {
  const { memory, letGo } = holding();
  const { come, served, accepted, upgraded } = await scene(t, { memory });
  const clients: Client[] = [];
  for (const text of [
    `${handshake('/one')}head`,
    'GET /two HTTP/1.1\r\nHost: test\r\n\r\n',
    handshake('/three', 'Content-Length: 5\r\n'),
    handshake('/four'),
  ]) {
    clients.push(come(text));
    const expected = clients.length;
    await waitFor('the server has it', () => accepted[expected - 1]?.bytesRead === text.length);
  }
  clients[0]?.socket.write(' and more');
  clients[2]?.socket.write('12345 and more');
  clients[3]?.socket.write('more');
  const [first] = accepted;
  await waitFor('the server has that too', () => (first?.readableLength ?? 0) > 0);
  assert.deepEqual([served, upgraded], [[], []]);
  letGo();
  await waitFor('all are served', () => served.length === 4);
  assert.deepEqual(served, ['/one', '/two', '/three', '/four']);
  // Before Node.js 26 the body is part of what comes after the head.
  const told = (): string[] => clients.map(({ text }) => text().replace(/^.*\r\n\r\n(12345)?/s, ''));
  const expected = ['head and more', 'hello', ' and more', 'more'];
  await waitFor('the echoes', () => told().join() === expected.join(), { state: told });
});

test('a handshake whose client leaves while it waits is forgotten, however it leaves', async (t) => {
  const { memory, letGo } = holding();
  const { come, served, accepted } = await scene(t, { memory });
  const body = 'Content-Length: 5\r\n';
  const ending = [handshake('/ends'), handshake('/ends', body)].map(come);
  const resetting = [handshake('/resets'), handshake('/resets', body)].map(come);
  await waitFor('all wait', () => accepted.length === 4 && accepted.every(({ bytesRead }) => bytesRead > 0));
  for (const { socket } of ending) socket.end();
  for (const { socket } of resetting) socket.resetAndDestroy();
  await waitFor('all are closed, before anybody lets go', () => accepted.every(({ closed }) => closed));
  const last = come(handshake('/stays'));
  await waitFor('it waits', () => (accepted[4]?.bytesRead ?? 0) > 0);
  letGo();
  await waitFor('it is taken', () => last.text() === UPGRADED);
  assert.deepEqual(served, ['/stays']);
});

test('a handshake that has waited longer than the app listens is closed', async (t) => {
  const { memory, letGo } = holding();
  const { app, come, accepted } = await scene(t, { memory });
  const client = come(handshake('/'));
  await waitFor('it waits', () => (accepted[0]?.bytesRead ?? 0) > 0);
  app.removeAllListeners('upgrade');
  letGo();
  await waitFor('it is closed', () => client.ended());
  assert.equal(client.text(), '');
});
