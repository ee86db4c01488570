/** Logs that could be opened at the start of the server and cannot be any more. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { start, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const DROPPED = 'tsunicorn_log_lines_dropped_total';

async function replaceWorkers(server: TestServer): Promise<void> {
  const before = server.workerPids();
  for (const pid of before) process.kill(pid, 'SIGKILL');
  await waitFor('other workers', () => {
    const now = server.workerPids();
    return now.length === before.length && now.every((pid) => !before.includes(pid));
  });
  await server.ready();
}

for (const back of ['of itself', 'at USR1'] as const) {
  test(`workers serve on where the directory of the logs is gone, and write again ${back}`, async (t) => {
    const env = { TSUNICORN_ACCESS_LOG: 'logs/access.log', TSUNICORN_WORKERS: '1' };
    // Relative to where the server runs, which is there before it starts.
    const wrapper = ['sh', '-c', 'mkdir -p logs && exec "$@"', 'sh'];
    const server = await (await start(t, { app: 'basic.js', env, wrapper })).ready();
    const directory = join(server.directory, 'logs');
    rmSync(directory, { recursive: true });
    await replaceWorkers(server);
    const said = await server.untilLogged('cannot open TSUNICORN_ACCESS_LOG: ENOENT');
    assert.equal(said.level, 'error');
    assert.match(said.msg, /logs\/access\.log/);
    assert.equal((await server.get('/?lost')).status, 200);
    await waitFor('the line is counted', async () => (await server.metric(DROPPED)) === 1);
    mkdirSync(directory);
    if (back === 'at USR1') server.signal('SIGUSR1');
    const read = (): string => {
      try {
        return readFileSync(join(directory, 'access.log'), 'utf8');
      } catch {
        return '';
      }
    };
    if (back === 'at USR1')
      await waitFor('the file is opened before there is a line', () => existsSync(join(directory, 'access.log')));
    await waitFor('lines are written again', async () => {
      await server.get('/?again');
      return read().includes('"query":"again"');
    });
    assert.equal(server.logged('cannot open TSUNICORN_').length, 1, 'it is said once');
    assert.equal(await server.stop(), 0);
  });
}

test('a worker that cannot open the server log says so on stderr, also of its access log', async (t) => {
  const env = { TSUNICORN_ACCESS_LOG: 'logs/access.log', TSUNICORN_ERROR_LOG: 'logs/error.log' };
  const wrapper = ['sh', '-c', 'mkdir -p logs && exec "$@"', 'sh'];
  const server = await (await start(t, { app: 'basic.js', env: { ...env, TSUNICORN_WORKERS: '1' }, wrapper })).ready();
  rmSync(join(server.directory, 'logs'), { recursive: true });
  await replaceWorkers(server);
  const [first, second, ...more] = await waitFor(
    'both',
    () => server.logged('cannot open TSUNICORN_').length > 1 && server.log,
  );
  assert.match(`${first?.msg}\n${second?.msg}`, /logs\/error\.log.*\n.*logs\/access\.log/);
  assert.deepEqual([first?.worker, second?.level, more], [0, 'error', []]);
  await server.get('/throw'); // which is logged
  await waitFor('its lines are counted as well', async () => (await server.metric(DROPPED)) >= 2);
  assert.equal(await server.stop(), 0);
});

test('lines of the arbiter’s own log are counted, too', async (t) => {
  const env = { TSUNICORN_ACCESS_LOG: 'off', TSUNICORN_ERROR_LOG: '/dev/full' };
  const server = await (await start(t, { app: 'basic.js', env })).ready();
  assert.ok((await server.metric(DROPPED)) > 3);
  assert.equal(await server.stop(), 0);
});
