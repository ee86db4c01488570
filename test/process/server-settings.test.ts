/** What a program sets on its own http.Server holds, unless the user gave the setting for it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { test } from 'node:test';
import { rawRequest } from '../support/raw.ts';
import { start } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const app = 'programs/own-settings.js';
const one = { TSUNICORN_WORKERS: '1' };

/** The first two are the defaults of Node.js, and none of tsunicorn's. */
const OWN = {
  keepAliveTimeout: 5000,
  headersTimeout: 60_000,
  requestTimeout: 0,
  maxHeadersCount: 200,
  maxConnections: 1000,
  timeout: 4321,
};
const OURS = {
  TSUNICORN_KEEPALIVE: '30',
  TSUNICORN_HEADER_TIMEOUT: '8',
  TSUNICORN_BODY_TIMEOUT: '20',
  TSUNICORN_LIMIT_REQUEST_FIELDS: '50',
  TSUNICORN_WORKER_CONNECTIONS: '200',
};
const IN_FORCE = {
  keepAliveTimeout: 30_000,
  headersTimeout: 8000,
  requestTimeout: 20_000,
  maxHeadersCount: 51,
  maxConnections: 200,
  timeout: 4321,
};

for (const when of ['BEFORE', 'AFTER']) {
  test(`what a program sets ${when} listen() holds`, async (t) => {
    const server = await (await start(t, { app, env: { ...one, [when]: JSON.stringify(OWN) } })).ready();
    const names = Array.from({ length: OWN.maxHeadersCount - 2 }, (_, i) => `x-${i}`);
    const agent = new http.Agent({ keepAlive: true });
    t.after(() => agent.destroy());
    const answer = await server.get('/', { agent, headers: Object.fromEntries(names.map((name) => [name, '1'])) });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers['keep-alive'], 'timeout=5');
    assert.deepEqual(JSON.parse(answer.body), { ...OWN, connections: 1, own: true, fields: OWN.maxHeadersCount });
    assert.deepEqual(server.logged('a setting comes before the app'), []);
    assert.equal(await server.stop(), 0);
  });

  test(`what the user gave comes before what a program sets ${when} listen()`, async (t) => {
    const env = { ...one, ...OURS, [when]: JSON.stringify(OWN) };
    const server = await (await start(t, { app, env })).ready();
    const { maxConnections, connections, own, fields, ...values } = JSON.parse((await server.get('/')).body);
    assert.deepEqual({ ...values, maxConnections }, IN_FORCE);
    assert.deepEqual({ connections, own, fields: fields > 0 }, { connections: 1, own: true, fields: true });
    const said = server
      .logged('a setting comes before the app')
      .map(({ msg }) => msg)
      .join('; ');
    assert.match(said, /server\.keepAliveTimeout is 30000 by TSUNICORN_KEEPALIVE, not 5000 as the app sets it/);
    for (const name of Object.keys(OURS)) assert.equal(said.split(name).length, 2, `${name}, once`);
    assert.equal(await server.stop(), 0);
  });
}

test('a program that sets nothing gets the settings, and no word', async (t) => {
  const server = await (await start(t, { app, env: { ...one, TSUNICORN_KEEPALIVE: '30' } })).ready();
  const { keepAliveTimeout, headersTimeout, requestTimeout, maxHeadersCount } = JSON.parse(
    (await server.get('/')).body,
  );
  assert.deepEqual([keepAliveTimeout, headersTimeout, requestTimeout, maxHeadersCount], [30_000, 10_000, 300_000, 101]);
  assert.deepEqual(server.logged('a setting comes before the app'), []);
});

const LONG = { fields: { A: 'a'.repeat(30_000) }, url: `/${'a'.repeat(30_000)}` };

for (const [how, file, env] of [
  ['by code', app, { OPTIONS: '{"maxHeaderSize":65536}' }],
  ['by --max-http-header-size', app, { TSUNICORN_NODE_OPTIONS: '--max-http-header-size=65536' }],
  ['by the flag in NODE_OPTIONS, for a handler', 'basic.js', { NODE_OPTIONS: '--max-http-header-size=65536' }],
] as const) {
  test(`room for large heads ${how}`, async (t) => {
    const server = await (await start(t, { app: file, env: { ...one, ...env } })).ready();
    assert.equal((await rawRequest(server.port, 'GET /', LONG.fields)).status, 200);
    assert.notEqual((await rawRequest(server.port, `GET ${LONG.url}`)).status, 414);
    const given = { ...one, ...env, TSUNICORN_LIMIT_HEADER_SIZE: '20KiB' };
    const limited = await (await start(t, { app: file, env: given })).ready();
    assert.equal((await rawRequest(limited.port, 'GET /', LONG.fields)).status, 431);
    await limited.untilLogged(/server\.maxHeaderSize is 20480 by TSUNICORN_LIMIT_HEADER_SIZE, not 65536 as/);
  });
}

test('maxConnections drops connections, and getConnections() counts them', async (t) => {
  const server = await (await start(t, { app, env: { ...one, AFTER: '{"maxConnections":2}' } })).ready();
  const agent = new http.Agent({ keepAlive: true });
  t.after(() => agent.destroy());
  const [first, second] = await Promise.all([server.get('/', { agent }), server.get('/', { agent })]);
  assert.deepEqual([JSON.parse(first.body).own, JSON.parse(second.body).connections], [true, 2]);
  const third = net.connect(server.port, '127.0.0.1');
  third.on('error', () => {}).resume();
  await once(third, 'close');
  await waitFor("the 'drop' event", () => server.stdout.includes('dropped number'));
  agent.destroy();
  await waitFor('room again', async () => {
    const body = await server.get('/').then(
      ({ body }) => body,
      () => '{}',
    );
    return JSON.parse(body).connections === 1;
  });
  assert.equal(await server.stop(), 0);
});
