/** The app finds the listeners of `process` as under plain Node.js. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { start } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const one = { TSUNICORN_WORKERS: '1' };
const COUNTS = fileURLToPath(new URL('../fixtures/apps/programs/counts-listeners.js', import.meta.url));

test('an app counts the listeners that it would count under plain Node.js', async (t) => {
  const plain = execFileSync(process.execPath, [COUNTS], { env: { ...process.env, ONCE: '1' }, encoding: 'utf8' });
  const server = await (await start(t, { app: COUNTS, env: one })).ready();
  assert.deepEqual(JSON.parse((await server.get('/')).body), JSON.parse(plain));
  // None of the worker's own has gone with them.
  const [pid = 0] = server.workerPids();
  for (const signal of ['SIGUSR2', 'SIGWINCH', 'SIGHUP', 'SIGINT'] as const) process.kill(pid, signal);
  assert.equal((await server.get('/')).status, 200);
  process.kill(pid, 'SIGTERM');
  await waitFor('it is replaced', () => !server.workerPids().includes(pid));
  await server.untilLogged('worker ended: exit code 0');
  assert.equal(await server.stop(), 0);
});

for (const EVENT of ['uncaughtException', 'unhandledRejection']) {
  test(`an error tracker that listens alone to ${EVENT} ends the process, and the log has the stack`, async (t) => {
    const server = await (await start(t, { app: 'programs/error-tracker.js', env: { ...one, EVENT } })).ready();
    const { body: pid } = await server.get('/');
    await assert.rejects(server.get('/boom'), { code: 'ECONNRESET' });
    const line = await server.untilLogged('the app called process.exit(1)');
    if (EVENT === 'uncaughtException') {
      assert.match(line.msg, /after an uncaught exception: this worker ends at once/);
      assert.match(JSON.stringify(line), /boom.*error-tracker\.js/);
    }
    assert.match(server.stderr, /REPORTED boom/);
    await server.untilLogged('worker ended: exit code 1');
    await server.untilLogged('worker is ready', 2);
    assert.notEqual((await server.get('/')).body, pid);
  });
}
