/** Real Socket.IO, long polling and WebSocket, with sessions in the memory of four workers (examples/socketio). */
import assert from 'node:assert/strict';
import { before, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { start, type TestServer } from '../support/server.ts';
import { SESSION_UNKNOWN, SocketCrowd } from '../support/socketio.ts';
import { waitFor } from '../support/wait.ts';
import { installExample, installNodes, type NodeRelease } from './install.ts';
import { nodesWanted } from './nodes.ts';

const UPDATE = process.env.UPDATE_DOCS === '1';
const WORKERS = 4;
const CLIENTS = 200;
/** With which a worker says that clients wait in long polls, and a bit more. */
const HEARTBEAT_MS = 1_500;
const skip = process.platform !== 'linux' && 'TSUNICORN_STICKY is for Linux';

let nodes: readonly NodeRelease[] = [];
let home = '';

before(async () => {
  nodes = nodesWanted(await installNodes(UPDATE));
  home = await installExample({ directory: 'socketio' }, UPDATE);
});

async function started(t: TestContext, node: string, sticky: string): Promise<TestServer> {
  const env = {
    TSUNICORN_CHDIR: home,
    TSUNICORN_WORKERS: String(WORKERS),
    TSUNICORN_STICKY: sticky,
    TSUNICORN_ACCESS_LOG: 'off',
    TSUNICORN_GRACEFUL_TIMEOUT: '8',
  };
  return (await start(t, { node, env })).ready(60);
}

/** Requests for a session that their worker did not know; the example prints them. */
const unknown = (server: TestServer): number => server.stdout.split(SESSION_UNKNOWN).length - 1;

async function onEach(t: TestContext, tried: (on: TestContext, node: string) => Promise<void>): Promise<void> {
  for (const node of nodes) await t.test(`on Node.js ${node.version}`, (on) => tried(on, node.path));
}

function crowd(t: TestContext, server: TestServer): SocketCrowd {
  const made = new SocketCrowd({ home, url: `http://127.0.0.1:${server.port}`, clients: CLIENTS });
  t.after(() => made.close());
  return made;
}

test('200 clients stay connected with TSUNICORN_STICKY=ip', { skip }, async (t) => {
  await onEach(t, async (on, node) => {
    const server = await started(on, node, 'ip');
    const clients = crowd(on, server);
    await clients.connected();
    await clients.answered(10);
    assert.deepEqual(clients.summary(), {});
    assert.equal(unknown(server), 0);
    assert.equal(new Set(clients.clients.flatMap(({ pids }) => [...pids])).size, WORKERS);
    await clients.close();
    assert.equal(await server.stop(), 0);
  });
});

test('a reload tells every client to connect anew, and none meets a worker that does not know it', {
  skip,
}, async (t) => {
  await onEach(t, async (on, node) => {
    const server = await started(on, node, 'ip');
    const clients = crowd(on, server);
    await clients.connected();
    await clients.answered(5);
    await sleep(HEARTBEAT_MS);
    const old = new Set(server.workerPids());
    server.signal('SIGHUP');
    const met = (pids: ReadonlySet<number>) => [...pids].some((pid) => !old.has(pid));
    await waitFor('each client has met a new worker', () => clients.clients.every(({ pids }) => met(pids)), {
      seconds: 60,
      state: () => clients.summary(),
    });
    await clients.answered(5);
    // A client that comes back at once may be told a second time.
    const ends = Object.keys(clients.summary()).toSorted();
    assert.deepEqual(
      ends,
      [
        'polling: transport close: transport closed by the server',
        'websocket: transport close: websocket connection closed',
      ],
      JSON.stringify(clients.summary()),
    );
    assert.deepEqual(
      server.log.filter(({ level }) => level !== 'info'),
      [],
    );
    await clients.close();
    assert.equal(await server.stop(), 0);
  });
});

test('a SIGKILL costs the clients of that worker their session, and they come back', { skip }, async (t) => {
  await onEach(t, async (on, node) => {
    const server = await started(on, node, 'ip');
    const clients = crowd(on, server);
    await clients.connected();
    await clients.answered(3);
    const [victim = 0] = clients.clients[0]?.pids ?? [];
    const its = clients.clients.filter(({ pids }) => pids.has(victim));
    process.kill(victim, 'SIGKILL');
    await waitFor('its clients have met a new worker', () => its.every(({ pids }) => pids.size > 1), {
      seconds: 30,
      state: () => clients.summary(),
    });
    await clients.connected();
    await clients.answered(3);
    for (const client of clients.clients) if (!its.includes(client)) assert.deepEqual(client.failures, []);
    await clients.close();
  });
});

test('without stickiness the same clients fail', { skip }, async (t) => {
  const server = await started(t, process.execPath, 'off');
  const clients = crowd(t, server);
  await waitFor('sessions that their worker does not know', () => unknown(server) > CLIENTS, { seconds: 30 });
  assert.ok(clients.clients.some(({ sessionUnknown }) => sessionUnknown));
  await clients.close();
});
