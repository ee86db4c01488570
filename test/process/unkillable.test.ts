/** Workers that SIGKILL does not end: the arbiter says so, and a stop ends all the same. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { isRunning, start } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const setpriv = spawnSync('setpriv', ['--version']).status === 0;
const skip = process.getuid?.() === 0 && setpriv ? false : 'root and setpriv(1) are needed to take CAP_KILL away';
/** With root's other capabilities, so that workers can run as another user. */
const WITHOUT_CAP_KILL = ['setpriv', '--bounding-set', '-kill'];

test('without CAP_KILL a stop ends with exit code 1, and the log names the fix', { skip }, async (t) => {
  const env = { TSUNICORN_WORKERS: '1', TSUNICORN_USER: '65534', TSUNICORN_GRACEFUL_TIMEOUT: '1' };
  const server = await (await start(t, { app: 'basic.js', env, wrapper: WITHOUT_CAP_KILL })).ready();
  const [pid = 0] = server.workerPids();
  t.after(() => isRunning(pid) && process.kill(pid, 'SIGKILL'));
  chmodSync(server.directory, 0o777);
  const file = join(server.directory, 'spin');
  const stuck = server.get(`/spin?until=${file}`).catch((error: NodeJS.ErrnoException) => error.code);
  await waitFor('it spins', () => existsSync(`${file}.begun`));
  const at = performance.now();
  server.signal('SIGTERM');
  await waitFor('the arbiter is gone', () => !isRunning(server.pid));
  assert.ok(performance.now() - at < 10_000, 'graceful timeout, 2 s, and room for a busy machine');
  const [line] = server.logged('kill() failed with EPERM');
  assert.equal(line?.level, 'error');
  assert.equal(line?.workerPid, pid);
  assert.match(
    line?.msg ?? '',
    /CAP_KILL \(docker run --cap-add KILL; systemd: add CAP_KILL to CapabilityBoundingSet=\)/,
  );
  assert.deepEqual(server.logged('worker is killed'), []);
  assert.equal(server.log.at(-1)?.msg, '1 of the workers did not end within 2 s of SIGKILL');
  process.kill(pid, 'SIGKILL'); // it holds stderr, and the kernel's signal at the arbiter's death needs CAP_KILL, too
  assert.equal((await server.exited).code, 1);
  assert.equal(await stuck, 'ECONNRESET');
});

test('a worker that has ended, but whose helper process holds its channel, is not said to be killed', async (t) => {
  const server = await (await start(t, { app: 'helper.js', env: { TSUNICORN_WORKERS: '1' } })).ready();
  const helper = Number((await server.get('/helper')).body);
  t.after(() => isRunning(helper) && process.kill(helper, 'SIGKILL'));
  const [pid = 0] = server.workerPids();
  process.kill(pid, 'SIGKILL');
  // A zombie may still have threads that end, and until then it cannot be waited for.
  await waitFor('the arbiter has waited for it', () => !existsSync(`/proc/${pid}`));
  server.signal('SIGINT');
  await server.untilLogged('received SIGINT');
  server.signal('SIGINT'); // kills what is left
  assert.equal((await server.exited).code, 0);
  assert.equal(server.logged('worker ended: SIGKILL').length, 1);
  assert.deepEqual(server.logged('worker is killed'), []);
});

test('a worker whose helper process holds its channel is replaced when it dies', async (t) => {
  const server = await (await start(t, { app: 'helper.js', env: { TSUNICORN_WORKERS: '1' } })).ready();
  const helper = Number((await server.get('/helper')).body);
  t.after(() => isRunning(helper) && process.kill(helper, 'SIGKILL'));
  process.kill(server.workerPids()[0] ?? 0, 'SIGKILL');
  await server.untilLogged('worker ended: SIGKILL');
  await server.untilLogged('is ready', 2);
  assert.ok(isRunning(helper));
  assert.equal(await server.stop(), 0);
});
