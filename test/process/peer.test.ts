/** Who a request comes from, where its client has reset the connection before it was accepted. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { start } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const CLIENTS = 50;
const FORGED = '198.51.100.66';
const REQUEST = [
  'GET /forged HTTP/1.1',
  'Host: own.test',
  `X-Forwarded-For: ${FORGED}`,
  'X-Forwarded-Host: forged.test',
  'X-Forwarded-Proto: https',
  '\r\n',
].join('\r\n');

/** Sends a request and resets the connection at once (SO_LINGER 0). */
async function sendAndReset(port: number): Promise<void> {
  const socket = net.connect(port, '127.0.0.1').on('error', () => {});
  await once(socket, 'connect');
  await new Promise((sent) => socket.write(REQUEST, sent));
  socket.resetAndDestroy();
  await once(socket, 'close');
}

for (const form of ['handler', 'server', 'fetch', 'program']) {
  test(`${form}: a client that resets before it is accepted is not served, let alone believed`, async (t) => {
    const env = {
      SEEN_FORM: form,
      NODE_ENV: 'production',
      TSUNICORN_WORKERS: '1',
      TSUNICORN_FORWARDED_ALLOW_IPS: '192.0.2.1',
    };
    const server = await (await start(t, { app: 'peers.js', env })).ready();
    const [worker = assert.fail()] = server.workerPids();
    process.kill(worker, 'SIGSTOP'); // all reset before the worker accepts them
    try {
      await Promise.all(Array.from({ length: CLIENTS }, () => sendAndReset(server.port)));
    } finally {
      process.kill(worker, 'SIGCONT');
    }
    // Behind them in the accept queue, so all are accepted by now. This one lives, and is not believed either.
    await server.get('/forged', { headers: { 'X-Forwarded-For': FORGED, 'X-Forwarded-Host': 'forged.test' } });
    const seen = JSON.parse((await server.get('/seen')).body) as Record<string, string>[];
    const own = `http://127.0.0.1:${server.port}/forged`;
    const real = form === 'fetch' ? { url: own, ip: '127.0.0.1', remoteAddress: '127.0.0.1' } : { ip: '127.0.0.1' };
    assert.deepEqual(seen, [real]);
    await waitFor('the lines', () => server.access.some(({ path }) => path === '/seen'));
    const lines = server.access.filter(({ path }) => path === '/forged');
    assert.deepEqual(
      lines.map(({ remote, client }) => [remote, client]),
      [['127.0.0.1', '127.0.0.1']],
    );
    assert.equal(await server.stop(), 0);
  });
}

for (const form of ['handler', 'fetch']) {
  test(`${form}: the peer of a unix socket has no address, and is believed`, async (t) => {
    const env = { SEEN_FORM: form, TSUNICORN_WORKERS: '1', TSUNICORN_BIND: 'unix:app.sock' };
    const server = await (await start(t, { app: 'peers.js', env })).ready();
    const headers = { Host: 'own.test', 'X-Forwarded-For': '203.0.113.5', 'X-Forwarded-Proto': 'https' };
    const get = async (path: string): Promise<string> => {
      const request = http.get({ socketPath: join(server.directory, 'app.sock'), path, headers, agent: false });
      const [response] = (await once(request, 'response')) as [http.IncomingMessage];
      return (await response.toArray()).join('');
    };
    assert.equal(await get('/there'), 'hello');
    const url = 'https://own.test/there';
    const told = form === 'fetch' ? { url, ip: '203.0.113.5', remoteAddress: '203.0.113.5' } : {};
    assert.deepEqual(JSON.parse(await get('/seen')), [told]);
    await waitFor('the line', () => server.access.some(({ path }) => path === '/there'));
    const line = server.access.find(({ path }) => path === '/there');
    assert.deepEqual([line?.remote, line?.client], ['', '203.0.113.5']);
  });
}
