/** The admin endpoints on a unix socket. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { request, start } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

test('its file is treated as those of the app: stale ones are replaced, live ones and others refused', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'tsunicorn-admin-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const socketPath = join(directory, 'admin.sock');
  const env = { TSUNICORN_ADMIN_BIND: `unix:${socketPath}`, TSUNICORN_SOCKET_MODE: '0600', TSUNICORN_WORKERS: '1' };
  const ready = () =>
    request({ socketPath, path: '/readyz' }).then(
      ({ status }) => status === 200,
      () => false,
    );

  const killed = await start(t, { app: 'basic.js', env });
  await waitFor('it is ready', ready);
  assert.equal(statSync(socketPath).mode & 0o777, 0o600);
  const workers = killed.workerPids();
  killed.signal('SIGKILL');
  await killed.exited;
  assert.equal(workers.length, 1);
  assert.ok(existsSync(socketPath));

  const next = await start(t, { app: 'basic.js', env });
  await waitFor('it is ready', ready, { state: () => next.stderr });
  const other = await start(t, { app: 'basic.js', env });
  assert.equal((await other.exited).code, 69);
  assert.match(other.log.at(-1)?.msg ?? '', /^cannot bind the admin address unix:.*in use.*See TSUNICORN_ADMIN_BIND$/);
  assert.ok(await ready());
  assert.equal(await next.stop(), 0);
  assert.equal(existsSync(socketPath), false);

  writeFileSync(socketPath, 'precious');
  const refused = await start(t, { app: 'basic.js', env });
  assert.equal((await refused.exited).code, 69);
  assert.match(refused.log.at(-1)?.msg ?? '', /the admin address unix:.*not a socket.*left alone/);
  assert.equal(readFileSync(socketPath, 'utf8'), 'precious');
});
