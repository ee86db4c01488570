import assert from 'node:assert/strict';
import { readdirSync, readlinkSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
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

const FORGERIES = [
  'nothing',
  'text',
  'list',
  'no type',
  'unknown type',
  'a type of the arbiter',
  'no report',
  'a count that is NaN',
  'a negative count',
  'a huge count',
  'a count as text',
  'a nested count',
  'a method with a line feed',
  'an index of the app that is none',
  'an index without a value',
  'help that is no text',
  'labels that are none',
  'a label without text',
  'ready twice',
  'hello twice',
  'an app without a name',
  'a fatal failure that is ok',
  'memory that is no number',
];

/** Workers that die soon are replaced after growing waits. */
const A_SERVER = 4;

for (let from = 0; from < FORGERIES.length; from += A_SERVER) {
  const forgeries = FORGERIES.slice(from, from + A_SERVER);
  test(`a message that no worker sends ends that worker and not the server: ${forgeries.join(', ')}`, async (t) => {
    const server = await (await start(t, { app: 'meddles.js', env })).ready();
    assert.deepEqual(JSON.parse((await server.get('/forgeries')).body), FORGERIES);
    for (const [i, forgery] of forgeries.entries()) {
      const { body: pid } = await server.get('/');
      await server.get(`/forge?${encodeURIComponent(forgery)}`).catch(() => {}); // it may be killed before it answers
      const line = await server.untilLogged('worker sent a message that no worker sends', i + 1);
      assert.deepEqual([line.level, line.worker, String(line.workerPid)], ['error', 0, pid], forgery);
      await server.untilLogged('worker is ready', i + 2);
      assert.notEqual((await server.get('/')).body, pid);
      assert.equal((await server.admin('/metrics')).status, 200);
    }
    assert.equal(server.logged('worker sent a message that no worker sends').length, forgeries.length);
    assert.equal(server.logged('failed; the server goes on').length, 0);
    assert.equal(await server.stop(), 0);
  });
}

test('a worker may ask for descriptors thousands of times, also for listeners that are not there', async (t) => {
  const server = await (await start(t, { app: 'meddles.js', env: { ...env, MEDDLES: 'descriptors' } })).ready();
  const { body: pid } = await server.get('/do');
  const lent = async () => Number((await server.get('/lent')).body);
  let last = 0;
  const settled = async () => {
    const before = last;
    await sleep(1_000);
    last = await lent();
    return last > 0 && last === before;
  };
  await waitFor('no more of them come', settled);
  const descriptors = () => readdirSync(`/proc/${server.pid}/fd`).length;
  const before = descriptors();
  await server.get('/do');
  await server.admin('/status');
  assert.ok(descriptors() <= before + 2, 'none is kept');
  assert.equal((await server.get('/')).body, pid);
  assert.ok(last < 200, `${last} of 20000`);
  assert.equal(await server.stop(), 0);
  assert.equal(server.logged('worker ended').length, 1);
});

for (const thing of ['an acknowledgement that nothing waits for', 'bytes that are no JSON']) {
  test(`what Node.js itself chokes on (${thing}) is logged, and the server goes on`, async (t) => {
    const server = await (await start(t, { app: 'meddles.js', env })).ready();
    await server.get(`/foreign?${encodeURIComponent(thing)}`);
    const line = await server.untilLogged(/^a callback \(uncaughtException\) failed; the server goes on$/);
    assert.equal(line.level, 'error');
    assert.ok((line.err as Error).stack);
    await waitFor('it serves', async () => (await server.get('/')).status === 200);
    server.signal('SIGHUP');
    await server.untilLogged('worker is ready', 2);
    assert.equal(await server.stop(), 0);
  });
}

for (const thing of ['a socket', 'a server']) {
  test(`${thing} that an app sends to the arbiter is closed`, async (t) => {
    const server = await (await start(t, { app: 'meddles.js', env })).ready();
    const sockets = () => readdirSync(`/proc/${server.pid}/fd`).filter((fd) => isSocket(server.pid, fd)).length;
    await server.admin('/livez');
    const before = sockets();
    for (let i = 0; i < 20; i++) await server.get(`/foreign?${encodeURIComponent(thing)}`);
    await waitFor('no more sockets than before', () => sockets() <= before + 2);
    assert.equal((await server.get('/')).status, 200);
    assert.equal(await server.stop(), 0);
  });
}

/** One may be closed between the two looks. */
function isSocket(pid: number, fd: string): boolean {
  try {
    return readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith('socket:');
  } catch {
    return false;
  }
}
