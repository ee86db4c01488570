/** `TSUNICORN_USER` with logs in files: root's arbiter makes them, its workers write them. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  lstatSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { start, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const skip = process.getuid?.() === 0 ? false : 'only root can start workers as another user';
const USER = 65534;
const OTHER = 54321;

const lines = (file: string): number => readFileSync(file, 'utf8').split('\n').length - 1;

/** In a directory where workers may not make files. */
async function startAs(
  t: TestContext,
  who: Record<string, string>,
  prepare?: (file: string) => void,
): Promise<Started> {
  const env = { TSUNICORN_ERROR_LOG: 'error.log', TSUNICORN_ACCESS_LOG: 'access.log', TSUNICORN_WORKERS: '1', ...who };
  const server = await start(t, { app: 'basic.js', env });
  chmodSync(server.directory, 0o755);
  const [error, access] = ['error.log', 'access.log'].map((name) => join(server.directory, name)) as [string, string];
  prepare?.(access);
  await server.ready();
  return { server, error, access };
}

interface Started {
  server: TestServer;
  error: string;
  access: string;
}

for (const [what, who, owner] of [
  ['a user', { TSUNICORN_USER: String(USER) }, USER],
  ['a user and a group', { TSUNICORN_USER: String(USER), TSUNICORN_GROUP: String(OTHER) }, USER],
  ['a group', { TSUNICORN_GROUP: String(OTHER) }, 0],
] as const) {
  test(`${what}: workers write their logs, also after logrotate`, { skip }, async (t) => {
    const { server, error, access } = await startAs(t, who);
    assert.equal((await server.get('/throw')).status, 500);
    await waitFor(
      'both have a line of the worker',
      () => lines(access) === 1 && /the request handler failed/.test(readFileSync(error, 'utf8')),
    );
    assert.deepEqual(
      [error, access].map((file) => statSync(file).uid),
      [owner, owner],
    );
    for (const file of [error, access]) renameSync(file, `${file}.1`);
    // As `create 0640 root root` of logrotate.
    writeFileSync(access, '', { mode: 0o640 });
    server.signal('SIGUSR1');
    await waitFor(
      'the new access log is written',
      async () => (await server.get('/')).status === 200 && lines(access) > 0,
    );
    await server.get('/throw');
    await waitFor('so is the new server log', () => /the request handler failed/.test(readFileSync(error, 'utf8')));
    assert.equal(await server.stop(), 0);
  });
}

test('a file of another user is given to the worker, unless the worker may write it', { skip }, async (t) => {
  for (const [mode, owner] of [
    [0o644, USER],
    [0o666, OTHER],
  ] as const) {
    const { server, access } = await startAs(t, { TSUNICORN_USER: String(USER) }, (file) => {
      writeFileSync(file, 'before\n');
      chmodSync(file, mode);
      chownSync(file, OTHER, OTHER);
    });
    await waitFor('it is written', async () => (await server.get('/')).status === 200 && lines(access) > 1);
    assert.match(readFileSync(access, 'utf8'), /^before\n/);
    assert.equal(statSync(access).uid, owner);
    assert.equal(await server.stop(), 0);
  }
});

test('a link is not followed to give away what it leads to', { skip }, async (t) => {
  const server = await start(t, {
    app: 'basic.js',
    env: { TSUNICORN_USER: String(USER), TSUNICORN_ACCESS_LOG: 'access.log', TSUNICORN_WORKERS: '1' },
  });
  chmodSync(server.directory, 0o755);
  const target = join(server.directory, 'root-only');
  writeFileSync(target, '', { mode: 0o600 });
  symlinkSync(target, join(server.directory, 'access.log'));
  assert.equal((await server.exited).code, 78);
  assert.match(server.log.at(-1)?.msg ?? '', /^cannot open TSUNICORN_ACCESS_LOG: EACCES.*Let user 65534 write there/);
  assert.equal(lstatSync(target).uid, 0);
});

test('/dev/stdout and /dev/stderr are the streams themselves, whoever owns them', { skip }, async (t) => {
  const env = { TSUNICORN_USER: String(USER), TSUNICORN_ERROR_LOG: '/dev/stderr', TSUNICORN_ACCESS_LOG: '/dev/stdout' };
  const server = await (await start(t, { app: 'basic.js', env })).ready();
  assert.equal((await server.get('/throw')).status, 500);
  await server.untilLogged('the request handler failed');
  await waitFor('an access line', () => server.access.length === 1);
  server.signal('SIGUSR1');
  await server.untilLogged('received SIGUSR1');
  assert.equal((await server.get('/')).status, 200);
  await waitFor('another', () => server.access.length === 2);
  assert.equal(await server.stop(), 0);
});
