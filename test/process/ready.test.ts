/** setReady(), and pm2's process.send('ready'): what the app says of its own readiness. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Status } from '../../src/admin/status.ts';
import { freePort, MAIN, request, run, start, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const APP = 'ready.mjs';

const statusOf = async (server: TestServer): Promise<Status> => JSON.parse((await server.admin('/status')).body);

/** Slots that answer `count` new connections. */
async function answering(server: TestServer, count = 40): Promise<string> {
  const slots = new Set<string>();
  for (let i = 0; i < count; i++) slots.add((await server.get('/')).body);
  return [...slots].toSorted().join();
}

const untilAnswering = (server: TestServer, slots: string) =>
  waitFor(`only slots ${slots} answer`, async () => (await answering(server)) === slots, {
    state: () => server.stderr.slice(-2000),
  });

const comesBack = (server: TestServer, slot: string) => writeFileSync(join(server.directory, `back-${slot}`), '');

for (const [how, env] of [
  ['setReady(false), then setReady(true)', { READY_AT_BOOT: 'set' }],
  ["process.send('ready') with TSUNICORN_WAIT_READY", { READY_AT_BOOT: 'pm2', TSUNICORN_WAIT_READY: 'true' }],
] as const) {
  test(`a worker that boots is ready when its app says so: ${how}`, async (t) => {
    const server = await start(t, { app: APP, env });
    await waitFor('the admin port answers', () => server.admin('/livez').catch(() => undefined));
    await waitFor('it says what it waits for', async () => (await statusOf(server)).workers.every((w) => !w.appReady));
    assert.equal((await server.admin('/readyz')).status, 503);
    assert.deepEqual(server.logged('worker is ready'), []);
    writeFileSync(join(server.directory, 'allowed'), '');
    await server.ready();
    await untilAnswering(server, '0,1');
    // A reload waits for it too.
    server.signal('SIGHUP');
    await server.untilLogged('worker is ready', 4);
  });
}

test('a worker that never says it is killed at the boot timeout, which names what it waited for', async (t) => {
  const env = { READY_AT_BOOT: 'never', TSUNICORN_BOOT_TIMEOUT: '4', TSUNICORN_CRASH_LIMIT: '1' };
  const { code, log } = await run(t, { app: APP, env });
  assert.equal(code, 3);
  assert.match(log.at(-1)?.msg ?? '', /setReady\(true\) or process\.send\('ready'\) has not settled/);
});

test('an app that fails while it is not ready fails to boot, with its own words', async (t) => {
  const { code, log } = await run(t, { app: APP, env: { READY_AT_BOOT: 'throws', TSUNICORN_CRASH_LIMIT: '1' } });
  assert.equal(code, 3);
  assert.match(log.at(-1)?.msg ?? '', /no database/);
});

test('tsunicorn check does not wait for it', () => {
  const env = { TSUNICORN_APP: new URL(`../fixtures/apps/${APP}`, import.meta.url).pathname, READY_AT_BOOT: 'never' };
  assert.match(execFileSync(process.execPath, [MAIN, 'check'], { encoding: 'utf8', env }), /^ok: /m);
});

const SOCKETS = {
  'a TCP socket for each slot': {},
  'one TCP socket for all': { TSUNICORN_REUSE_PORT: 'false' },
  'both kinds': { TSUNICORN_BIND: undefined },
} as const;

for (const [what, env] of Object.entries(SOCKETS)) {
  test(`a worker that is not ready gets no new connections: ${what}`, async (t) => {
    const bind = what === 'both kinds' ? { TSUNICORN_BIND: `127.0.0.1:${await freePort()},unix:shared.sock` } : env;
    const server = await start(t, { app: APP, env: { ...bind, TSUNICORN_WORKERS: '3' } });
    const port = 'TSUNICORN_BIND' in bind ? Number(/:(\d+),/.exec(String(bind.TSUNICORN_BIND))?.[1]) : server.port;
    Object.assign(server, { port });
    await server.ready();
    const agent = new http.Agent({ keepAlive: true });
    t.after(() => agent.destroy());
    const kept = (path: string) => request({ host: '127.0.0.1', port: server.port, path, agent });
    const { body: slot } = await kept('/away');
    const others = ['0', '1', '2'].filter((other) => other !== slot);
    await server.untilLogged('worker is not ready, says its app');
    await untilAnswering(server, others.join());
    const { workers } = await statusOf(server);
    assert.deepEqual(
      workers.filter(({ appReady }) => !appReady).map((worker) => String(worker.slot)),
      [slot],
    );
    assert.match((await server.admin('/readyz')).body, /"2 of 3 workers are ready"/);
    assert.equal(await server.metric('tsunicorn_workers{state="ready"}'), 2);
    const last = await kept('/');
    assert.deepEqual([last.body, last.headers.connection], [slot, 'close'], 'what it had goes on, and then to others');
    if (what === 'both kinds') {
      for (let i = 0; i < 20; i++) {
        const { body } = await request({ socketPath: join(server.directory, 'shared.sock'), path: '/' });
        assert.notEqual(body, slot);
      }
    }
    comesBack(server, slot);
    await server.untilLogged('worker is ready again, says its app');
    await untilAnswering(server, '0,1,2');
    assert.equal(await server.stop(), 0);
  });
}

test('workers of which none is ready serve on, and /readyz says 503', async (t) => {
  const server = await (await start(t, { app: APP, env: { TSUNICORN_WORKERS: '2' } })).ready();
  const { body: first } = await server.get('/away');
  const second = first === '0' ? '1' : '0';
  await untilAnswering(server, second);
  assert.equal((await server.get('/away')).body, second);
  const readiness = await waitFor('/readyz says 503', async () => {
    const answer = await server.admin('/readyz');
    return answer.status === 503 && answer;
  });
  assert.match(readiness.body, /no worker is ready/);
  await untilAnswering(server, '0,1');
  comesBack(server, first);
  await untilAnswering(server, first);
  assert.equal((await server.admin('/readyz')).status, 200);
});

test('no request is lost while workers come and go', async (t) => {
  const server = await (await start(t, { app: APP, env: { TSUNICORN_WORKERS: '2' } })).ready();
  let stop = false;
  let answered = 0;
  const client = async (): Promise<void> => {
    for (; !stop; answered++) assert.equal((await server.get('/')).status, 200);
  };
  const clients = Array.from({ length: 8 }, client);
  for (let round = 1; round <= 10; round++) {
    await server.get('/blink');
    await server.untilLogged('worker is ready again', round);
  }
  stop = true;
  await Promise.all(clients);
  assert.ok(answered > 0);
});
