/** A server in the background of a terminal (`tsunicorn &`) that is set to `stty tostop`. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { childrenOf, isRunning, start } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const skip = spawnSync('script', ['--version']).status === 0 ? false : 'there is no script(1)';
/** With job control (`set -m`) the command is in a process group of its own, and the shell's stays in the foreground. */
const IN_BACKGROUND = ['sh', '-c', 'exec script -qefc "stty tostop; set -m; $* & wait \\$!" /dev/null', 'sh'];

test('it serves, writes its logs, and obeys TTOU and TERM', { skip }, async (t) => {
  const env = { TSUNICORN_LOG_FORMAT: 'json', TSUNICORN_RESIZE_INTERVAL: '0' };
  const server = await (await start(t, { app: 'basic.js', env, wrapper: IN_BACKGROUND })).ready();
  const [shell = 0] = childrenOf(server.pid);
  const [arbiter = 0] = childrenOf(shell);
  t.after(() => isRunning(arbiter) && process.kill(arbiter, 'SIGKILL'));
  const workers = childrenOf(arbiter);
  assert.equal(workers.length, 2);
  assert.equal((await server.get('/?seen')).body, 'hello');
  await waitFor('the access log is written', () => server.stdout.includes('seen'));
  assert.ok(!server.stdout.includes('received SIGTTOU'), server.stdout);
  for (const pid of [arbiter, ...workers]) {
    const before = cpuTicks(pid);
    await sleep(1_000);
    assert.ok(cpuTicks(pid) - before < 50, 'it does not spin: half of a second');
  }
  process.kill(arbiter, 'SIGTTOU');
  await waitFor('one worker less', () => childrenOf(arbiter).length === 1);
  process.kill(arbiter, 'SIGTERM');
  assert.equal((await server.exited).code, 0);
  assert.match(server.stdout, /stopped as asked/);
});

test('a bad setting ends it with 78, and is told', { skip }, async (t) => {
  const server = await start(t, { app: 'basic.js', env: { TSUNICORN_TIMEOUT: 'soon' }, wrapper: IN_BACKGROUND });
  assert.equal((await server.exited).code, 78);
  assert.match(server.stdout, /TSUNICORN_TIMEOUT=soon/);
});

/** utime and stime, proc_pid_stat(5): hundredths of a second. */
function cpuTicks(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  return Number(fields[11]) + Number(fields[12]);
}
