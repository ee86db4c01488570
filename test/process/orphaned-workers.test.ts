/** Workers whose arbiter was killed. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { isRunning, start } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const NATIVE = fileURLToPath(new URL('../../dist/platform/native/tsunicorn.node', import.meta.url));
const skip = existsSync(NATIVE) ? false : 'the native part is not built';

test('a stopped worker goes on, drains and leaves the port to the next server', { skip }, async (t) => {
  const env = { TSUNICORN_WORKERS: '2', TSUNICORN_GRACEFUL_TIMEOUT: '1' };
  const server = await (await start(t, { app: 'basic.js', env })).ready();
  const workers = server.workerPids();
  t.after(() => {
    for (const pid of workers) if (isRunning(pid)) process.kill(pid, 'SIGKILL');
  });
  for (const pid of workers) process.kill(pid, 'SIGSTOP');
  server.signal('SIGKILL');
  await waitFor('the workers are gone', () => !workers.some(isRunning), { seconds: 6 });
  const next = await start(t, { app: 'basic.js', env: { ...env, TSUNICORN_BIND: `127.0.0.1:${server.port}` } });
  await next.ready();
  assert.equal(await next.stop(), 0);
});
