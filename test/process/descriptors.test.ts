/** A worker that has used up its file descriptors (RLIMIT_NOFILE). */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import net from 'node:net';
import { test } from 'node:test';
import { start } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const LIMIT = 100;

test('a worker without a free descriptor goes on, reports, and serves again when there are some', async (t) => {
  const server = await start(t, {
    app: 'basic.js',
    env: { TSUNICORN_WORKERS: '1' },
    wrapper: ['sh', '-c', `ulimit -n ${LIMIT} && exec "$@"`, 'sh'],
  });
  await server.ready();
  const pids = server.workerPids();
  const sockets = Array.from({ length: 2 * LIMIT }, () => net.connect({ port: server.port, host: '127.0.0.1' }));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
  });
  for (const socket of sockets) socket.on('error', () => undefined);
  // libuv keeps one in reserve, with which it turns away whom it cannot take.
  await waitFor('all are in use', () => readdirSync(`/proc/${pids[0]}/fd`).length >= LIMIT - 1);
  assert.ok((await server.metric('tsunicorn_connections{worker="0"}')) > 0); // asks the worker for a report
  for (const socket of sockets) socket.destroy();
  await waitFor('it has let go of them', async () => (await server.metric('tsunicorn_connections{worker="0"}')) === 0);
  assert.equal((await server.get('/')).body, 'hello');
  assert.deepEqual(server.workerPids(), pids);
  assert.deepEqual(server.logged('uncaught'), []);
  assert.equal(await server.stop(), 0);
});
