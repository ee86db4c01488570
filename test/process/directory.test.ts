/** A directory of the app that goes away, as releases do. */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { start } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

test('serving goes on while it is away, the log names it, and workers boot once it is back', async (t) => {
  const server = await start(t, { app: 'basic.js', env: { TSUNICORN_CHDIR: 'release', TSUNICORN_CRASH_LIMIT: '2' } });
  const release = join(server.directory, 'release');
  mkdirSync(release);
  await server.ready();
  renameSync(release, `${release}.away`);
  const [victim = 0, other] = server.workerPids();
  process.kill(victim, 'SIGKILL');
  const line = await server.untilLogged(`worker ended: TSUNICORN_CHDIR=${release}: there is no such directory`, 3);
  assert.deepEqual([line.level, line.reason], ['error', 'boot']);
  assert.deepEqual(server.workerPids(), [other]);
  assert.equal((await server.get('/')).body, 'hello');
  renameSync(`${release}.away`, release);
  await server.untilLogged('is ready', 3);
  await waitFor('two workers', () => server.workerPids().length === 2);
  assert.equal(await server.stop(), 0);
});

test('78 at the start, where there is none', async (t) => {
  const server = await start(t, { app: 'basic.js', env: { TSUNICORN_CHDIR: 'nowhere' } });
  assert.equal((await server.exited).code, 78);
  assert.match(server.log.at(-1)?.msg ?? '', /^TSUNICORN_CHDIR=.*\/nowhere: there is no such directory$/);
  const check = await start(t, { app: 'basic.js', args: ['check'], env: { TSUNICORN_CHDIR: 'nowhere' } });
  assert.equal((await check.exited).code, 78);
  assert.match(check.stderr, /^TSUNICORN_CHDIR=.*\/nowhere: there is no such directory$/m);
});

const skip = process.getuid?.() === 0 ? false : 'setpriv(1) needs root';

test('78 at the start, where it cannot be entered', { skip }, async (t) => {
  const wrapper = ['setpriv', '--reuid', '65534', '--clear-groups'];
  const server = await start(t, { app: 'basic.js', env: { TSUNICORN_CHDIR: 'private' }, wrapper });
  chmodSync(server.directory, 0o755);
  mkdirSync(join(server.directory, 'private'), { mode: 0o700 });
  assert.equal((await server.exited).code, 78);
  assert.match(
    server.log.at(-1)?.msg ?? '',
    /^TSUNICORN_CHDIR=.*\/private: the directory cannot be entered \(EACCES\)$/,
  );
});

test('78 where TSUNICORN_USER cannot enter it and the app is below it; an absolute path is served', {
  skip,
}, async (t) => {
  const user = { TSUNICORN_USER: '65534', TSUNICORN_CHDIR: 'private' };
  const server = await start(t, { env: { ...user, TSUNICORN_APP: 'app.js' } });
  const elsewhere = await start(t, { app: 'basic.js', env: user });
  for (const { directory } of [server, elsewhere]) {
    chmodSync(directory, 0o755);
    mkdirSync(join(directory, 'private'), { mode: 0o700 });
  }
  assert.equal((await server.exited).code, 78);
  assert.match(
    server.log.at(-1)?.msg ?? '',
    /^TSUNICORN_CHDIR=.*\/private: the directory cannot be entered by TSUNICORN_USER=65534 \(EACCES\)$/,
  );
  await elsewhere.ready();
  assert.equal(await elsewhere.stop(), 0);
});

test('78 where the working directory has been removed', async (t) => {
  const wrapper = ['sh', '-c', 'mkdir gone && cd gone && rmdir ../gone && exec "$@"', 'sh'];
  const server = await start(t, { app: 'basic.js', wrapper });
  assert.equal((await server.exited).code, 78);
  assert.match(server.stderr, /the working directory has been removed/);
  rmSync(join(server.directory, 'gone'), { recursive: true, force: true });
});
