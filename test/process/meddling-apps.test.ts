import assert from 'node:assert/strict';
import { test } from 'node:test';
import { start } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const env = { TSUNICORN_WORKERS: '1', TSUNICORN_TIMEOUT: '2', TSUNICORN_ACCESS_LOG: 'off' };

for (const deed of ['listeners', 'messages', 'send']) {
  test(`an app that breaks the worker's process (${deed}) keeps its channel to the arbiter`, async (t) => {
    const server = await (await start(t, { app: 'meddles.js', env: { ...env, MEDDLES: deed } })).ready();
    const { body: pid } = await server.get('/do');
    // A signal to the worker itself asks for a replacement, which takes a message either way.
    process.kill(Number(pid), 'SIGTERM');
    await waitFor('it is replaced', async () => (await server.get('/')).body !== pid);
    await server.untilLogged('worker ended: exit code 0');
    assert.deepEqual(server.logged('is killed'), []);
    assert.equal(await server.stop(), 0);
    assert.deepEqual(server.logged(/worker ended: (?!exit code 0)/), []);
  });
}

test('a message that no worker sends ends that worker and not the server', async (t) => {
  const server = await (await start(t, { app: 'meddles.js', env: { ...env, MEDDLES: 'forgery' } })).ready();
  const { body: pid } = await server.get('/');
  await server.get('/do').catch(() => {}); // it may be killed before it has answered
  const line = await server.untilLogged('worker sent a message that no worker sends');
  assert.equal(String(line.workerPid), pid);
  await server.untilLogged('worker is ready', 2);
  assert.notEqual((await server.get('/')).body, pid);
  assert.equal(await server.stop(), 0);
});
