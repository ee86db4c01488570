/** Requests and handshakes before an app's listeners: refused early, held for want of memory, or the app's. */
import assert from 'node:assert/strict';
import { captureRejectionSymbol, once } from 'node:events';
import http, { type IncomingMessage } from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { Duplex } from 'node:stream';
import { describe, type TestContext, test } from 'node:test';
import { MemoryAdmission } from '../../src/worker/admission/memory.ts';
import { Overload } from '../../src/worker/admission/overload.ts';
import { type Refusal, refuseHandshake } from '../../src/worker/http/error-responses.ts';
import type { GateOptions } from '../../src/worker/http/gate.ts';
import { createServer } from '../../src/worker/http/server.ts';
import { HANDSHAKE, raw } from '../support/raw.ts';
import { waitFor } from '../support/wait.ts';

const SETTINGS = {
  keepalive: 75,
  headerTimeout: 10,
  bodyTimeout: 300,
  limitHeaderSize: 16_384,
  limitRequestLine: 100,
  limitRequestFields: 10,
  limitBodySize: 0,
  workerConnections: 0,
};
const GIVEN = { given: [], overruled: () => assert.fail() };

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

/** An app that upgrades, and echoes; what tsunicorn makes of it; and its clients. */
async function scene(t: TestContext, options: Omit<GateOptions, 'events'>) {
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
  const server = createServer({ kind: 'server', name: 'app', server: app }, SETTINGS, {
    ...options,
    ...GIVEN,
    events: {
      refused: (why) => void refused.push(why),
      upgraded: (socket) => void upgraded.push(socket),
      handlerFailed: () => assert.fail(),
      malformed: () => assert.fail(),
    },
  });
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
function holding(): { memory: MemoryAdmission; letGo: () => void; waits: () => boolean } {
  let used = 950;
  let waiting = 0;
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
  const wait = memory.wait.bind(memory);
  memory.wait = (serve) => {
    waiting++;
    wait(serve);
  };
  return { memory, letGo, waits: () => waiting > 0 };
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
  await waitFor('it is in flight', () => served.length === 1);
  fallBehind();
  client.socket.on('error', () => undefined).write(handshake('/socket'));
  await waitFor('the connection is closed', () => client.socket.closed || client.ended());
  assert.equal(client.text(), '');
  assert.deepEqual(refused, ['overload']);
});

test('a refused handshake whose client is gone is closed, without an exception', async () => {
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
  await waitFor('all are closed, before it lets go', () => accepted.every(({ closed }) => closed));
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

type Handle = (request: IncomingMessage, response: http.ServerResponse) => unknown;

/** An app's own server behind the gate, and what happened to requests. `ask` sends `text` and reads to the end. */
async function gated(t: TestContext, { limits = {}, extras = {}, handler = undefined as Handle | undefined } = {}) {
  const refused: Refusal[] = [];
  const failed: string[] = [];
  const app = http.createServer();
  const server = createServer(
    handler ? { kind: 'handler', name: 'app', handle: handler } : { kind: 'server', name: 'app', server: app },
    { ...SETTINGS, ...limits },
    {
      ...extras,
      ...GIVEN,
      events: {
        refused: (why) => void refused.push(why),
        upgraded: () => undefined,
        handlerFailed: (error, _request, event) => void failed.push(`${event}: ${(error as Error).message}`),
        malformed: (_socket, status, code) => assert.fail(`${status} ${code}`),
      },
    },
  );
  const listener = net.createServer({ allowHalfOpen: true }, (socket) => server.emit('connection', socket));
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  t.after(() => {
    listener.close();
    server.closeAllConnections();
    server.close();
  });
  const ask = (text: string): Promise<string> => raw((listener.address() as AddressInfo).port, text);
  return { server, refused, failed, ask };
}

const START = 'Host: test\r\nConnection: close\r\n';
const PLAIN = `GET / HTTP/1.1\r\n${START}\r\n`;
const CONTINUE = `POST / HTTP/1.1\r\n${START}Expect: 100-continue\r\nContent-Length: 4\r\n\r\n`;
const EXPECT = `GET / HTTP/1.1\r\n${START}Expect: tea\r\n\r\n`;
const CONNECT = 'CONNECT test:1 HTTP/1.1\r\nHost: test\r\n\r\n';

/** Each way in which node:http hands over a request. */
const WAYS: readonly (readonly [event: string, text: string, extra: (fields: string) => string])[] = [
  ['request', PLAIN, (fields) => PLAIN.replace(START, START + fields)],
  ['checkContinue', CONTINUE, (fields) => CONTINUE.replace(START, START + fields)],
  ['checkExpectation', EXPECT, (fields) => EXPECT.replace(START, START + fields)],
  ['upgrade', handshake('/'), (fields) => handshake('/', fields)],
  ['connect', CONNECT, (fields) => CONNECT.replace('Host', `${fields}Host`)],
];

for (const [event, text, withFields] of WAYS) {
  test(`${event} passes the limits, load shedding and memory admission`, async (t) => {
    const { overload, fallBehind, catchUp } = late();
    const { memory, letGo, waits } = holding();
    const { server, refused, ask } = await gated(t, { extras: { overload, memory } });
    const served: unknown[] = [];
    server.on(event, (request: IncomingMessage, target: http.ServerResponse | net.Socket) => {
      served.push(request.url);
      if (target instanceof http.ServerResponse) target.end('served');
      else target.end('HTTP/1.1 200 OK\r\n\r\nserved');
    });
    const waiting = ask(text);
    await waitFor('it waits for memory', waits);
    assert.deepEqual(served, []);
    letGo();
    assert.match(await waiting, /served$/);
    const target = / (\S+) HTTP/.exec(text)?.[1] ?? '';
    assert.match(await ask(text.replace(target, target + 'a'.repeat(100))), /^HTTP\/1\.1 414 /);
    // One too many: at more the parser refuses them.
    const more = SETTINGS.limitRequestFields + 1 - (text.match(/: /g)?.length ?? 0);
    assert.match(await ask(withFields('A: b\r\n'.repeat(more))), /^HTTP\/1\.1 431 /);
    fallBehind();
    assert.match(await ask(text), /^HTTP\/1\.1 503 /);
    catchUp();
    assert.match(await ask(text), /served$/);
    assert.deepEqual(refused, ['uri_too_long', 'too_many_fields', 'overload']);
    assert.equal(served.length, 2);
  });

  for (const [how, fail] of [
    ['throws', () => assert.fail('on purpose')],
    ['rejects', () => Promise.reject(new Error('on purpose'))],
  ] as const) {
    test(`a ${event} listener that ${how} is a 500 and a line in the log`, async (t) => {
      const { server, failed, ask } = await gated(t);
      server.on(event, fail);
      assert.match(await ask(text), /^HTTP\/1\.1 500 Internal Server Error\r\n/);
      assert.deepEqual(failed, [`${event}: on purpose`]);
    });
  }
}

test('an error that cannot be read is a 500 and a line in the log', async (t) => {
  const { server, failed, ask } = await gated(t);
  const unreadable = Object.defineProperty(new Error(), 'message', { get: () => assert.fail('on purpose') });
  server.on('request', () => {
    throw unreadable;
  });
  assert.match(await ask(PLAIN), /^HTTP\/1\.1 500 Internal Server Error\r\n/);
  assert.deepEqual(failed, ['request: an error that cannot be read']);
});

test('the chunked body of a handshake has its limit', async (t) => {
  const { server, refused, ask } = await gated(t, { limits: { limitBodySize: 3 } });
  server.on('upgrade', (request, socket) => {
    request.resume();
    request.on('end', () => socket.end('let in'));
  });
  const chunked = handshake('/', 'Transfer-Encoding: chunked\r\n').replace('GET', 'POST');
  assert.match(await ask(`${chunked}4\r\nbody\r\n0\r\n\r\n`), /^HTTP\/1\.1 413 /);
  assert.deepEqual(refused, ['body_too_large']);
});

test('a handshake whose listener fails after it has answered is closed', async (t) => {
  const { server, failed, ask } = await gated(t);
  server.on('upgrade', async (_request, socket) => {
    await new Promise((written) => socket.write(UPGRADED, written));
    throw new Error('on purpose');
  });
  assert.equal(await ask(handshake('/')), UPGRADED);
  assert.deepEqual(failed, ['upgrade: on purpose']);
});

test('a dropRequest listener that throws is a line in the log, and Node.js answers', async (t) => {
  const { server, failed, ask } = await gated(t);
  server.maxRequestsPerSocket = 1;
  server.on('request', (_request, response) => void response.end('served'));
  server.on('dropRequest', () => assert.fail('on purpose'));
  const answers = await ask(PLAIN.replace('Connection: close\r\n', '') + PLAIN);
  assert.match(answers, /^HTTP\/1\.1 200 [\s\S]*HTTP\/1\.1 503 /);
  assert.deepEqual(failed, ['dropRequest: on purpose']);
});

for (const [what, listens] of [
  ['with a checkContinue listener', true],
  ['without', false],
] as const) {
  test(`a body that is too large is refused before 100 (Continue), ${what}`, async (t) => {
    const { server, refused, ask } = await gated(t, { limits: { limitBodySize: 3 } });
    if (listens) server.on('checkContinue', (_request, response) => response.writeContinue());
    server.on('request', () => assert.fail());
    assert.match(await ask(CONTINUE), /^HTTP\/1\.1 413 /);
    assert.deepEqual(refused, ['body_too_large']);
  });
}

test('a chunked body behind a checkContinue listener has its limit', async (t) => {
  const { server, refused, ask } = await gated(t, { limits: { limitBodySize: 3 } });
  server.on('checkContinue', (request, response) => {
    response.writeContinue();
    request.resume();
  });
  const chunked = CONTINUE.replace('Content-Length: 4', 'Transfer-Encoding: chunked');
  assert.match(await ask(`${chunked}4\r\nbody\r\n0\r\n\r\n`), /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 413 /);
  assert.deepEqual(refused, ['body_too_large']);
});

for (const handler of [undefined, ((_, response) => response.end('served')) as Handle]) {
  test(`without a checkContinue listener 100 (Continue) is said, once it is let in: ${handler ? 'handler' : 'server'}`, async (t) => {
    const { memory, letGo, waits } = holding();
    const { server, ask } = await gated(t, { extras: { memory }, handler });
    if (!handler) server.on('request', (_request, response) => response.end('served'));
    const answer = ask(`${CONTINUE}body`);
    await waitFor('it waits for memory', waits);
    letGo();
    assert.match(await answer, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 [\s\S]*served$/);
  });
}

test('an unknown expectation is 417', async (t) => {
  const { server, ask } = await gated(t);
  server.on('request', () => assert.fail());
  assert.match(await ask(EXPECT), /^HTTP\/1\.1 417 /);
});

describe('listeners run as EventEmitter runs them', () => {
  test('once() is once, in order, with the server as this; one that is removed meanwhile still runs', async (t) => {
    const { server, ask } = await gated(t);
    const calls: string[] = [];
    const removed = (): void => void calls.push('removed');
    server.once('request', function (this: http.Server) {
      assert.equal(this, server);
      server.off('request', removed);
      calls.push('once');
    });
    server.on('request', removed);
    server.on('request', (_request, response) => {
      calls.push('last');
      response.end('served');
    });
    server.prependListener('request', () => void calls.push('first'));
    for (let i = 0; i < 2; i++) assert.match(await ask(PLAIN), /served$/);
    assert.deepEqual(calls, ['first', 'once', 'removed', 'last', 'first', 'last']);
  });

  test('events.once() resolves with the first request', async (t) => {
    const { server, ask } = await gated(t);
    const first = once(server, 'request');
    const answer = ask(PLAIN);
    const [, response] = await first;
    assert.equal(server.listenerCount('request'), 0);
    response.end('served');
    assert.match(await answer, /served$/);
  });

  test('a rejection goes to the app’s own handler for rejections', async (t) => {
    const { server, failed, ask } = await gated(t);
    Object.assign(server, {
      [captureRejectionSymbol](error: Error, event: string, _request: unknown, response: http.ServerResponse) {
        response.writeHead(502).end(`${event}: ${error.message}`);
      },
    });
    server.on('request', () => Promise.reject(new Error('on purpose')));
    assert.match(await ask(PLAIN), /^HTTP\/1\.1 502 [\s\S]*request: on purpose/);
    assert.deepEqual(failed, []);
  });

  test('each listener that rejects has its line, also beside one that throws', async (t) => {
    const { server, failed, ask } = await gated(t);
    server.on('request', () => Promise.reject(new Error('one')));
    server.on('request', () => assert.fail('two'));
    assert.match(await ask(PLAIN), /^HTTP\/1\.1 500 /);
    assert.deepEqual(failed, ['request: two', 'request: one']);
  });
});

for (const text of [PLAIN, CONTINUE]) {
  test(`agents that patch http.Server.prototype.emit see ${text.includes('Expect') ? 'Expect: 100-continue' : 'GET'}`, async (t) => {
    const { emit } = http.Server.prototype;
    const seen: string[] = [];
    http.Server.prototype.emit = function patched(event: string | symbol, ...args: unknown[]): boolean {
      if (event === 'request') seen.push('agent');
      return Reflect.apply(emit, this, [event, ...args]);
    };
    t.after(() => {
      http.Server.prototype.emit = emit;
    });
    const { server, ask } = await gated(t);
    server.on('request', (_request, response) => {
      seen.push('app');
      response.end('served');
    });
    assert.match(await ask(text === CONTINUE ? `${text}body` : text), /served$/);
    assert.deepEqual(seen, ['agent', 'app']);
  });
}
