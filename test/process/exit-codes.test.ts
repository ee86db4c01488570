import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { start, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

async function ended(server: TestServer): Promise<{ code: number | null; last: string }> {
  const { code } = await server.exited;
  return { code, last: server.log.at(-1)?.msg ?? server.stderr };
}

test('3: a boot loop, with the stack of the app in the log', async (t) => {
  const server = await start(t, { app: 'broken/throws-at-import.js', env: { TSUNICORN_WORKERS: '1' } });
  const { code, last } = await ended(server);
  assert.equal(code, 3);
  assert.match(last, /5 workers in a row failed to boot, the last: the database is not there/);
  const failures = server.logged('the app failed to load');
  assert.equal(failures.length, 5);
  assert.match(JSON.stringify(failures[0]?.err), /throws-at-import\.js:\d+/);
});

test('3: an app that exits by itself while it boots', async (t) => {
  const server = await start(t, {
    app: 'broken/exits.js',
    env: { TSUNICORN_WORKERS: '1', TSUNICORN_CRASH_LIMIT: '2' },
  });
  const { code, last } = await ended(server);
  assert.equal(code, 3);
  assert.match(last, /2 workers in a row .* exit code 7/);
});

test('3: not ready within the boot timeout', async (t) => {
  // Longer than the second in which a late worker is asked for its stack: the next one is late in its turn otherwise.
  const env = { TSUNICORN_BOOT_TIMEOUT: '1.5', TSUNICORN_CRASH_LIMIT: '2', TSUNICORN_WORKERS: '1' };
  const server = await start(t, { app: 'slow-boot.js', env });
  await server.untilLogged('worker is killed: not ready within 1.5 s');
  const boots = () => server.metric('tsunicorn_worker_restarts_total{reason="boot"}');
  await waitFor('it is counted, while the next one boots', async () => (await boots()) === 1);
  const { code } = await ended(server);
  assert.equal(code, 3);
  assert.equal(server.logged('worker is killed: not ready within 1.5 s').length, 2);
});

test('3: five times the crash limit within a minute', async (t) => {
  const server = await start(t, { app: 'broken/dies-when-ready.js', env: { TSUNICORN_CRASH_LIMIT: '1' } });
  const seen = new Set<unknown>();
  while (server.exitCode === undefined) {
    seen.add(await server.get('/never').catch((error: NodeJS.ErrnoException) => error.code));
    await sleep(5);
  }
  const { code, last } = await ended(server);
  assert.equal(code, 3);
  assert.match(last, /5 workers died within a minute, the last: SIGKILL/);
  assert.ok(seen.delete('ECONNRESET'));
  seen.delete('ECONNREFUSED'); // nothing listens before the first worker is ready, and after the end
  assert.deepEqual([...seen], []);
});

for (const [what, app, message] of [
  ['a missing app', 'nothing-here.js', /there is no file .*nothing-here\.js/],
  ['a missing export', 'basic.js:nope', /has no export named nope; it has default/],
  ['an export that is no app', 'broken/not-an-app.js', /not-an-app\.js is 42, which is not an app/],
  ['a syntax error', 'broken/syntax.js', /syntax\.js cannot be imported/],
  ['a missing dependency', 'broken/missing-dependency.js', /cannot be imported: Cannot find package/],
] as const) {
  test(`4: ${what}`, async (t) => {
    const server = await start(t, { app });
    const { code, last } = await ended(server);
    assert.equal(code, 4);
    assert.match(last, message);
    const check = await start(t, { app, args: ['check'] });
    assert.equal((await check.exited).code, 4, 'check gives the code that a start gives');
    assert.match(check.stderr, message);
  });
}

test('69: a busy port, also one that another tsunicorn shares by SO_REUSEPORT', async (t) => {
  const busy = createServer().listen(0, '127.0.0.1');
  t.after(() => busy.close());
  await new Promise((resolve) => busy.once('listening', resolve));
  const { port } = busy.address() as { port: number };
  const server = await start(t, { app: 'basic.js', env: { TSUNICORN_BIND: `127.0.0.1:${port}` } });
  const { code, last } = await ended(server);
  assert.equal(code, 69);
  assert.match(last, new RegExp(`cannot bind 127\\.0\\.0\\.1:${port}: the address is in use`));

  const one = await (await start(t, { app: 'basic.js' })).ready();
  const two = await start(t, { app: 'basic.js', env: { TSUNICORN_BIND: `127.0.0.1:${one.port}` } });
  assert.equal((await ended(two)).code, 69);
  const three = await start(t, { app: 'basic.js', env: { TSUNICORN_ADMIN_BIND: `127.0.0.1:${one.adminPort}` } });
  const admin = await ended(three);
  assert.equal(admin.code, 69);
  assert.match(admin.last, /cannot bind the admin address/);
});

test('78: every configuration error at once, one line each', async (t) => {
  const env = {
    TSUNICORN_WORKERS: 'many',
    TSUNICORN_TIMEOUT: '-1',
    TSUNICORN_BIND: 'nonsense',
    TSUNICORN_WORKER: '2',
    TSUNICORN_LOG_LEVEL_FILE: '/does/not/exist',
  };
  const server = await start(t, { env });
  assert.equal((await server.exited).code, 78);
  for (const name of [
    'TSUNICORN_WORKERS=many',
    'TSUNICORN_TIMEOUT=-1',
    'TSUNICORN_BIND=nonsense',
    'TSUNICORN_WORKER',
    'TSUNICORN_LOG_LEVEL_FILE',
  ]) {
    assert.ok(
      server.stderr.split('\n').some((line) => line.startsWith(name)),
      `${name}\n${server.stderr}`,
    );
  }
  assert.match(server.stderr, /TSUNICORN_WORKER\b.*TSUNICORN_WORKERS/);
});

test('0: commands', async (t) => {
  const version = await start(t, { args: ['version'] });
  assert.equal((await version.exited).code, 0);
  assert.match(version.stdout, /^tsunicorn \d+\.\d+\.\d+ on Node\.js v\d+/);

  const check = await start(t, { app: 'basic.js', args: ['check'] });
  assert.equal((await check.exited).code, 0);
  assert.match(check.stdout, /ok: basic\.js can be served/);

  const config = await start(t, { args: ['config', '--json'] });
  assert.equal((await config.exited).code, 0);
  const rows = JSON.stringify(JSON.parse(config.stdout));
  assert.match(rows, /TSUNICORN_GRACEFUL_TIMEOUT/);

  const unknown = await start(t, { args: ['sreve'] });
  assert.equal((await unknown.exited).code, 78);
});

test('healthcheck: 0 when ready, 1 when not', async (t) => {
  const server = await (await start(t, { app: 'basic.js' })).ready();
  const env = { TSUNICORN_ADMIN_BIND: `127.0.0.1:${server.adminPort}` };
  const good = await start(t, { args: ['healthcheck'], env });
  assert.equal((await good.exited).code, 0);
  await server.stop();
  const bad = await start(t, { args: ['healthcheck'], env });
  assert.equal((await bad.exited).code, 1);
});

test('an app is discovered by package.json and by convention; without one the welcome app is served', async (t) => {
  const server = await start(t, { env: { TSUNICORN_WORKERS: '1' } });
  mkdirSync(join(server.directory, 'dist'));
  await server.ready();
  assert.match((await server.get('/')).body, /tsunicorn is running/);
  await server.untilLogged('serving the built-in welcome app'); // which may come after its first answer
  writeFileSync(join(server.directory, 'dist/server.js'), 'module.exports = (q, s) => s.end("found")');
  server.signal('SIGHUP');
  await server.untilLogged('is ready with server.js');
  assert.equal(await server.stop(), 0);
});
