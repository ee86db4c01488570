import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from 'node:test';
import { field, HANDSHAKE, rawRequest } from '../support/raw.ts';
import { run, start, type TestServer } from '../support/server.ts';

const JSON_HEADERS = { 'content-type': 'application/json' };

/** A WebSocket handshake; then bytes, which the fixtures send back. */
function handshake(port: number): Promise<net.Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<net.Socket>();
  const socket = net.connect({ port, host: '127.0.0.1' }).setEncoding('latin1');
  const fields = Object.entries({ Host: 'test', ...HANDSHAKE }).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`GET /ws HTTP/1.1\r\n${fields.join('')}\r\n`);
  socket.once('error', reject);
  socket.once('data', (text: string) => {
    if (text.startsWith('HTTP/1.1 101 ')) resolve(socket);
    else reject(new Error(text));
  });
  return promise;
}

async function echo(socket: net.Socket, text: string): Promise<string> {
  socket.write(text);
  return await new Promise((resolve) => socket.once('data', resolve));
}

async function one(t: { after(fn: () => unknown): void }, app: string): Promise<TestServer> {
  return await (await start(t, { app, env: { TSUNICORN_WORKERS: '1' } })).ready();
}

test('a Fastify instance, its plugins, its errors and its upgrade listener', async (t) => {
  const server = await one(t, 'forms/fastify.js');
  assert.deepEqual(JSON.parse((await server.get('/')).body), { framework: 'fastify' });
  const body = JSON.stringify({ a: 1 });
  assert.equal((await server.get('/json', { method: 'POST', headers: JSON_HEADERS, body })).body, body);
  assert.equal((await server.get('/error')).status, 500);
  const socket = await handshake(server.port);
  assert.equal(await echo(socket, 'ping'), 'ping');

  // An open WebSocket is not idle: it holds the drain until its client closes it.
  server.signal('SIGTERM');
  await server.untilLogged('worker drains');
  assert.equal(await echo(socket, 'still here'), 'still here');
  socket.end();
  assert.equal((await server.exited).code, 0);
});

test('a Koa app', async (t) => {
  const server = await one(t, 'forms/koa.js');
  assert.equal((await server.get('/there')).body, 'koa /there');
  await server.untilLogged('is ready with koa.js:app');
});

test('a Hono app', async (t) => {
  const server = await one(t, 'forms/hono.js');
  assert.equal((await server.get('/')).body, 'hono 127.0.0.1');
  const body = JSON.stringify({ a: 'ü' });
  assert.equal((await server.get('/json', { method: 'POST', headers: JSON_HEADERS, body })).body, body);
  assert.equal((await server.get('/error')).status, 500);
});

test('what Nest makes, by factory', async (t) => {
  const server = await one(t, 'forms/nest.js:create()');
  assert.equal((await server.get('/')).body, 'initialised: true');
});

for (const [name, body] of [
  ['one', 'one GET'],
  ['none', 'none'],
  ['rest', 'rest'],
  ['fetch', 'fetch GET'],
  ['factory()', 'made'],
  ['returnsResponse', 'returned'],
  ['returnsAnswered', 'answered'],
  ['answersLater', 'later'],
] as const) {
  test(`a function by what it declares: ${name}`, async (t) => {
    const server = await one(t, `forms/functions.js:${name}`);
    assert.equal((await server.get('/')).body, body);
  });
}

for (const [name, message] of [
  [
    'two',
    /functions\.js:two returned a Response, but was called as \(req, res\) because it declares more than one parameter\. .* export default \{ fetch \}/,
  ],
  ['twoLater', /functions\.js:twoLater returned a Response, but/],
  ['lambda', /:lambda returned an object with statusCode, body, .* looks like a serverless \(event, context\) handler/],
  ['lambdaAtOnce', /:lambdaAtOnce returned an object with statusCode, headers, .* looks like a serverless/],
  ['lambdaOfNothing', /:lambdaOfNothing returned an object with statusCode, .* looks like a serverless/],
  ['azure', /:azure returned an object with jsonBody, .* looks like a serverless/],
  ['factory', /functions\.js:factory returned an app .* TSUNICORN_APP=path:name\(\)/],
] as const) {
  test(`a function with the wrong parameters is explained: ${name}`, async (t) => {
    const server = await one(t, `forms/functions.js:${name}`);
    assert.equal((await server.get('/')).status, 500);
    const { err } = await server.untilLogged('the request handler failed');
    assert.match(JSON.stringify(err), message);
  });
}

for (const app of ['basic.js', 'server.js', 'forms/fetch.js', 'forms/koa.js']) {
  test(`a WebSocket handshake without an upgrade listener is answered: ${app}`, async (t) => {
    const server = await one(t, app);
    const answer = await rawRequest(server.port, 'GET /ws', HANDSHAKE);
    assert.equal(answer.status, 426);
    assert.deepEqual(field(answer, 'upgrade'), ['HTTP/1.1']);
    assert.match(field(answer, 'connection').join(), /upgrade/i);
    const malformed = await rawRequest(server.port, 'GET /ws', { ...HANDSHAKE, 'Sec-WebSocket-Key': 'short' });
    assert.equal(malformed.status, 400);
    const line = await server.untilLogged('has no upgrade listener');
    assert.match(line.msg, /Export the http\.Server that has the listener/);
    assert.equal(server.logged('has no upgrade listener').length, 1, 'once a worker');
    // Any other protocol is only an offer (RFC 9110, section 7.8), as curl makes one of h2c.
    const offer = { Connection: 'Upgrade, HTTP2-Settings, close', Upgrade: 'h2c', 'HTTP2-Settings': 'AAMAAABk' };
    assert.notEqual((await rawRequest(server.port, 'GET /', offer)).status, 426);
    assert.equal(await server.stop(), 0);
  });
}

test('an upgrade listener added late is found, and its connections do not count as idle', async (t) => {
  const server = await one(t, 'forms/late-upgrade.js');
  await assert.rejects(handshake(server.port), /426/);
  await server.get('/open');
  const socket = await handshake(server.port);
  const idle = net.connect({ port: server.port, host: '127.0.0.1' });
  idle.write('GET / HTTP/1.1\r\nHost: test\r\n\r\n');
  await new Promise((resolve) => idle.once('data', resolve));
  const idleClosed = new Promise((resolve) => idle.once('close', resolve));
  server.signal('SIGTERM');
  await server.untilLogged('worker drains');
  for (let i = 0; i < 3; i++) assert.equal(await echo(socket, `${i}`), `${i}`);
  await idleClosed; // it was opened later, so the other's time would have come as well
  assert.equal(await echo(socket, 'there'), 'there');
  socket.end();
  assert.equal((await server.exited).code, 0);
});

for (const [app, message] of [
  ['unsettled.js:never()', /the factory unsettled\.js:never\(\) has not settled/],
  ['unsettled.js:promise', /the promise unsettled\.js:promise has not settled/],
  ['unsettled-import.js', /the import of .*unsettled-import\.js has not settled/],
] as const) {
  test(`3: what never settles is named: ${app}`, async (t) => {
    const env = { TSUNICORN_BOOT_TIMEOUT: '4', TSUNICORN_CRASH_LIMIT: '1', TSUNICORN_WORKERS: '1' };
    const serving = await run(t, { app: `forms/${app}`, env });
    assert.equal(serving.code, 3);
    assert.match(serving.log.at(-1)?.msg ?? '', message);
    const check = await run(t, { app: `forms/${app}`, env, args: ['check'] });
    assert.equal(check.code, 3);
    assert.match(check.stderr, message);
  });
}

test('3: a factory that throws', async (t) => {
  const env = { TSUNICORN_CRASH_LIMIT: '1', TSUNICORN_WORKERS: '1' };
  const { code, log } = await run(t, { app: 'forms/unsettled.js:throws()', env });
  assert.equal(code, 3);
  assert.match(log.at(-1)?.msg ?? '', /the database is not there/);
});
