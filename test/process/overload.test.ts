/** More work than a worker can do: some of it is refused early, and none comes late. */
import assert from 'node:assert/strict';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { field, HANDSHAKE, parse } from '../support/raw.ts';
import { type Answer, type RequestOptions, request, start, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const CLIENTS = 40;

/** Keeps the event loop busy for a second at least, and until `sending` is over. */
async function whileBusy<T>(server: TestServer, sending: () => Promise<T>): Promise<[Answer, T]> {
  const gate = join(server.directory, 'gate');
  for (const file of [gate, `${gate}.begun`]) rmSync(file, { force: true });
  await waitFor('it has caught up', async () => (await server.get('/')).status === 200);
  const busy = server.get(`/spin?ms=1000&until=${encodeURIComponent(gate)}`);
  await waitFor('it spins', () => existsSync(`${gate}.begun`));
  const sent = await sending();
  writeFileSync(gate, '');
  return [await busy, sent];
}

/** Many that have all come before the event loop turns again, on open connections, so that one turn reads them all. */
async function flood(server: TestServer, agent: http.Agent, options: RequestOptions = {}): Promise<Answer[]> {
  const to = { agent, host: '127.0.0.1', port: server.port };
  await Promise.all(Array.from({ length: CLIENTS }, () => request({ ...to, path: '/slow?ms=300' })));
  let sent = 0;
  const onSent = () => void sent++;
  const one = () => request({ ...to, path: '/spin?ms=10', onSent, ...options });
  const [busy, answers] = await whileBusy(server, async () => {
    const begun = Array.from({ length: CLIENTS }, one);
    await waitFor('all have been sent', () => sent === CLIENTS);
    return begun.map((answer) => () => answer);
  });
  return [busy, ...(await Promise.all(answers.map((answer) => answer())))];
}

function keepAlive(t: TestContext): http.Agent {
  const agent = new http.Agent({ keepAlive: true });
  t.after(() => agent.destroy());
  return agent;
}

const count = (answers: readonly Answer[], status: number) => answers.filter((a) => a.status === status).length;

test('above the limit new requests get 503 and Retry-After, are counted, and it recovers by itself', async (t) => {
  const env = { TSUNICORN_WORKERS: '1', TSUNICORN_MAX_EVENT_LOOP_LAG: '0.2', TSUNICORN_ACCESS_LOG: 'off' };
  const server = await (await start(t, { app: 'basic.js', env })).ready();
  await server.untilLogged('is ready');
  const log = server.log.length;
  const answers = await flood(server, keepAlive(t));
  const refused = answers.filter(({ status }) => status === 503);
  assert.equal(count(answers, 200) + refused.length, CLIENTS + 1);
  assert.equal(refused.length, CLIENTS);
  for (const { headers, body } of refused) {
    assert.equal(headers['retry-after'], '1');
    assert.equal(body, '503 Service Unavailable\n');
  }
  assert.equal((await server.admin('/readyz')).status, 200);
  assert.equal(server.log.length, log, server.stderr);
  await waitFor('it serves again', async () => (await server.get('/')).status === 200);
  await waitFor(
    'each refusal is counted',
    async () => (await server.metric('tsunicorn_http_requests_rejected_total{reason="overload"}')) >= refused.length,
  );
  assert.equal(await server.stop(), 0);
});

test('a refused request leaves its connection open, unless a body is on its way', async (t) => {
  const env = { TSUNICORN_WORKERS: '1', TSUNICORN_MAX_EVENT_LOOP_LAG: '0.1' };
  const server = await (await start(t, { app: 'basic.js', env })).ready();
  for (const [method, connection] of [
    ['GET', 'keep-alive'],
    ['POST', 'close'],
  ] as const) {
    const headers = method === 'POST' ? { 'content-length': '5' } : {};
    const answers = await flood(server, keepAlive(t), { method, headers, ...(method === 'POST' && { body: 'hello' }) });
    const refused = answers.filter(({ status }) => status === 503);
    assert.equal(refused.length, CLIENTS);
    for (const { headers } of refused) assert.equal(headers.connection, connection);
  }
  assert.equal(await server.stop(), 0);
});

test('above the limit WebSocket handshakes get 503 and Retry-After too, and are counted', async (t) => {
  const env = { TSUNICORN_WORKERS: '1', TSUNICORN_MAX_EVENT_LOOP_LAG: '0.2', TSUNICORN_ACCESS_LOG: 'off' };
  const server = await (await start(t, { app: 'streams.js', env })).ready();
  const counted = () => server.metric('tsunicorn_http_requests_rejected_total{reason="overload"}');
  // Open already, so that one turn of the loop reads from all of them.
  const sockets = Array.from({ length: CLIENTS }, () => net.connect(server.port, '127.0.0.1').setEncoding('latin1'));
  t.after(() => sockets.map((socket) => socket.destroy()));
  const texts = sockets.map((socket) => socket.toArray().then((parts: string[]) => parts.join('')));
  const connections = () => server.metric('tsunicorn_connections{worker="0"}');
  await waitFor('all are accepted', async () => (await connections()) === CLIENTS);
  await server.untilLogged('is ready');
  const [before, log] = [await counted(), server.log.length];
  const fields = Object.entries({ Host: 'test', ...HANDSHAKE }).map(([name, value]) => `${name}: ${value}\r\n`);
  const text = `GET /socket HTTP/1.1\r\n${fields.join('')}\r\n`;
  await whileBusy(server, () => Promise.all(sockets.map((s) => new Promise((sent) => s.write(text, sent)))));
  await waitFor('all are closed', () => sockets.every(({ closed }) => closed));
  for (const answer of (await Promise.all(texts)).map(parse)) {
    assert.equal(answer.status, 503);
    assert.deepEqual([field(answer, 'retry-after'), field(answer, 'connection')], [['1'], ['close']]);
  }
  await waitFor('each is counted', async () => (await counted()) >= before + CLIENTS);
  assert.equal(server.log.length, log, server.stderr);
  await waitFor('none is left', async () => (await connections()) === 0);
  assert.equal(await server.stop(), 0);
});

test('without the setting all are served, however late', async (t) => {
  const env = { TSUNICORN_WORKERS: '1', TSUNICORN_ACCESS_LOG: 'off' };
  const server = await (await start(t, { app: 'basic.js', env })).ready();
  assert.equal(count(await flood(server, keepAlive(t)), 200), CLIENTS + 1);
  assert.equal(await server.stop(), 0);
});
