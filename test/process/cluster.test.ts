/** Programs written for node:cluster: their workers run as they are, and the arbiter stands in for their primary. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Answer, freePort, request, run, start, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

/** A socket a slot, so that a test can choose the worker. */
async function started(t: TestContext, env: Record<string, string> = {}, app = 'programs/cluster.js') {
  const server = await start(t, {
    app,
    env: { TSUNICORN_BIND: 'unix:app-{slot}.sock', TSUNICORN_WORKERS: '2', ...env },
  });
  return await server.ready();
}

const get = (server: TestServer, slot: number, path: string): Promise<Answer> =>
  request({ socketPath: `${server.directory}/app-${slot}.sock`, path });
const ask = async (server: TestServer, slot: number, path: string) => JSON.parse((await get(server, slot, path)).body);

test('a worker is what node:cluster calls a worker, by each way to ask', async (t) => {
  const server = await started(t);
  for (const slot of [0, 1]) {
    const { pid, ...who } = await ask(server, slot, '/who');
    assert.deepEqual(who, {
      id: slot + 1,
      flags: [false, false, true, false],
      required: true,
      named: true,
      process: true,
      connected: true,
      dead: false,
      exited: 'undefined',
      variable: 'undefined',
    });
  }
  assert.equal(await server.stop(), 0);
  assert.doesNotMatch(server.stdout, /the primary runs/);
  assert.equal(server.logged(/cluster\.js:16:\d+ asks node:cluster whether this is the primary/).length, 1);
  assert.equal(server.logged('cluster.schedulingPolicy has no effect').length, 1);
});

test('a module that is preloaded may have loaded node:cluster before', async (t) => {
  const server = await started(t, { TSUNICORN_NODE_OPTIONS: '--import=node:cluster' });
  const { id, flags, required } = await ask(server, 1, '/who');
  assert.deepEqual({ id, flags, required }, { id: 2, flags: [false, false, true, false], required: true });
});

test('processes and threads of a worker are no workers of node:cluster', async (t) => {
  const server = await started(t);
  assert.deepEqual(await ask(server, 0, '/children'), [
    [true, true, true],
    [true, true, true],
  ]);
});

test('what a worker sends to its primary reaches the other workers, as JSON', async (t) => {
  const server = await started(t, { TSUNICORN_WORKERS: '3' });
  assert.equal(await ask(server, 1, '/send'), 'sent');
  const message = { at: '1970-01-01T00:00:00.000Z', from: 2 };
  for (const slot of [0, 2]) {
    await waitFor('the message', async () => (await ask(server, slot, '/seen')).seen.length === 1);
    const { seen, bySelf } = await ask(server, slot, '/seen');
    assert.deepEqual({ seen, bySelf }, { seen: [message], bySelf: [message] });
  }
  assert.deepEqual((await ask(server, 1, '/seen')).seen, []);
});

test('a worker that disconnects or kills itself is replaced in order', async (t) => {
  const server = await started(t);
  for (const call of ['disconnect', 'kill']) {
    const { pid } = await ask(server, 1, '/who');
    const slow = ask(server, 1, '/slow');
    assert.equal(await ask(server, 1, `/${call}`), pid);
    assert.equal(await slow, pid);
    await waitFor('its successor', async () => (await ask(server, 1, '/who')).pid !== pid);
    assert.equal((await ask(server, 1, '/who')).id, 2);
    await waitFor('its event', () => server.stdout.includes('worker 2 has disconnected'));
    server.stdout = '';
    assert.equal(server.logged(`called cluster.worker.${call}() and will be replaced`).length, 1);
  }
  assert.equal(await server.stop(), 0);
  assert.deepEqual(server.logged(/exit code [1-9]|crash/), []);
});

test('extra servers of a worker listen, on a port of its own choice or a given one', async (t) => {
  const server = await started(t);
  const port = await freePort();
  for (const slot of [0, 1]) {
    assert.equal(await ask(server, slot, `/extra?port=${port}`), port);
    assert.ok((await ask(server, slot, '/extra?port=0')) > 0);
  }
});

test('the primary of a program whose workers have a file of their own is refused with a fix, and forks nothing', async (t) => {
  for (const env of [{}, { LATE: '1' }]) {
    const server = await run(t, { app: 'programs/forks.js', env });
    assert.equal(server.code, 4);
    assert.match(
      server.log.at(-1)?.msg ?? '',
      /the app called cluster\.fork\(\), but tsunicorn starts the workers .*TSUNICORN_WORKERS/,
    );
    assert.ok(server.log.filter(({ msg }) => msg.includes('worker ended')).length <= 2);
  }
});

test('a UDP socket is bound, in each worker by itself', async (t) => {
  const server = await (await start(t, { app: 'programs/udp.cjs', env: { TSUNICORN_WORKERS: '1' } })).ready();
  assert.equal((await server.get('/')).body, 'pong');
});

test("a worker's server for connections from a primary of @socket.io/sticky is served", async (t) => {
  const server = await (await start(t, { app: 'programs/sticky.cjs', env: { TSUNICORN_WORKERS: '2' } })).ready();
  assert.equal((await server.get('/')).body, 'sent null');
  assert.equal(await server.stop(), 0);
  assert.equal(server.logged("@socket.io/sticky chooses workers in the program's primary").length, 1);
});

test('log4js, which leaves writing to a primary, writes in each worker', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'tsunicorn-cluster-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const write = (file: string, text: string): void => {
    mkdirSync(dirname(join(directory, file)), { recursive: true });
    writeFileSync(join(directory, file), text);
  };
  // As in its lib/clustering.js.
  write('node_modules/log4js/index.js', "exports.writes = () => require('cluster').isMaster;");
  write(
    'app.js',
    `const { isMaster } = require('cluster');
     const { writes } = require('log4js');
     module.exports = (_, res) => res.end(isMaster + ' ' + writes());`,
  );
  const server = await (await start(t, { app: join(directory, 'app.js') })).ready();
  assert.equal((await server.get('/')).body, 'false true');
});
