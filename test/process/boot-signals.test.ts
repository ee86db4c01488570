/** Signals to the whole process group reach processes that have no handlers yet. */
import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { childrenOf, start } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

for (const signal of ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGUSR1', 'SIGUSR2'] as const) {
  test(`${signal} to a worker that has just been started is no failed boot`, async (t) => {
    // A single failed boot would be the end.
    const env = { TSUNICORN_WORKERS: '1', TSUNICORN_CRASH_LIMIT: '1' };
    const server = await start(t, { app: 'basic.js', env });
    const [pid = 0] = await waitFor('a worker', () => childrenOf(server.pid).length > 0 && childrenOf(server.pid));
    process.kill(pid, signal);
    await server.ready();
    assert.doesNotMatch(server.stderr, /Debugger listening/);
    assert.equal(await server.metric('tsunicorn_worker_restarts_total{reason="boot"}'), 0);
    const ends = server.logged(`worker ended: ${signal} before it had handlers; another one boots`);
    assert.deepEqual(
      ends.map(({ level, workerPid }) => [level, workerPid]),
      server.workerPids()[0] === pid ? [] : [['info', pid]],
    );
    assert.equal(await server.stop(), 0);
  });
}

test('USR1 to an arbiter that has just been started leaves no debugger open', async (t) => {
  let opened = 0;
  for (let delayMs = 4; delayMs <= 40; delayMs += 4) {
    const server = await start(t, { app: 'basic.js', env: { TSUNICORN_WORKERS: '1' }, nodeArgs: ['--inspect-port=0'] });
    await sleep(delayMs);
    server.signal('SIGUSR1');
    await waitFor(
      'ready, or ended by the signal',
      () => server.exitCode !== undefined || server.logged('is ready').length > 0,
    );
    for (const [, port] of server.stderr.matchAll(/Debugger listening on ws:\/\/127\.0\.0\.1:(\d+)/g)) {
      opened++;
      await waitFor('it is closed', () => refused(Number(port)));
    }
    if (server.exitCode === undefined) assert.equal(await server.stop(), 0);
  }
  t.diagnostic(`the debugger was opened ${opened} times`);
});

function refused(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => resolve(false)).on('error', () => resolve(true));
    socket.once('connect', () => socket.destroy());
  });
}
