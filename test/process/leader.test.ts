/** onLeader(): one worker of the server at any time, and never two. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { type Leaders, leaders, type Stint, shake } from '../support/leaders.ts';
import { childrenOf, isRunning } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const exitOf = (all: Leaders, workerId: number) =>
  waitFor(`worker ${workerId} has ended`, () =>
    all.server.log.find((line) => line.workerId === workerId && line.msg.startsWith('worker ended')),
  );

/** The first stint, and the second, which must not have begun before the first was over. */
function assertFollowed([first, second]: readonly Stint[], longestGapMs = 1_000): void {
  assert.ok(first && second);
  const gap = second.from - first.to;
  assert.ok(gap > 0, `they overlap by ${-gap} ms`);
  assert.ok(gap < longestGapMs, `nobody led for ${gap} ms`);
}

test('over reloads and kills of the leader never two lead, and one is back within a second', async (t) => {
  const env = { TSUNICORN_WORKERS: '3', TSUNICORN_CRASH_LIMIT: '100' };
  const all = await leaders(t, { env });
  await shake(all, 8, Math.random);
  const { gaps, overlaps } = all.account;
  assert.deepEqual(overlaps, []);
  assert.ok(gaps.length >= 8, `${gaps.length} changes`);
  assert.ok(Math.max(...gaps) < 1_000, String(gaps));
  assert.equal(await all.server.stop(), 0);
  assert.ok(all.last?.ended, 'the last one was told to stop, and awaited');
});

test('who leads is in the log, in the status and in the metrics', async (t) => {
  const all = await leaders(t);
  const [{ workerId } = { workerId: 0 }] = await all.untilLed(1);
  const line = await all.server.untilLogged('worker leads');
  assert.equal(line.workerId, workerId);
  const { workers } = JSON.parse((await all.server.admin('/status')).body);
  const leading = workers.filter((worker: { leads: boolean }) => worker.leads);
  assert.deepEqual(
    leading.map((worker: { workerId: number }) => worker.workerId),
    [workerId],
  );
  const { slot } = leading[0];
  assert.equal(await all.server.metric(`tsunicorn_leader{worker="${slot}"}`), 1);
  assert.equal(await all.server.metric(`tsunicorn_leader{worker="${1 - slot}"}`), 0);
  assert.match(
    (await all.server.admin('/metrics')).body,
    new RegExp(`^tsunicorn_leader\\{worker="${1 - slot}"\\} 0$`, 'm'),
  );
});

test('with one worker its successor leads after a reload', async (t) => {
  const all = await leaders(t, { env: { TSUNICORN_WORKERS: '1' } });
  await all.untilLed(1);
  all.server.signal('SIGHUP');
  assertFollowed(await all.untilLed(2));
});

test('a leader that is stopped leads until it has been killed', async (t) => {
  const all = await leaders(t, { env: { TSUNICORN_TIMEOUT: '1' } });
  const [{ workerId } = { workerId: 0 }] = await all.untilLed(1);
  const pid = await all.pidOf(workerId);
  assert.ok(pid);
  process.kill(pid, 'SIGSTOP');
  await all.untilLed(2);
  assert.ok(!isRunning(pid));
  assert.deepEqual(all.account.overlaps, []);
});

test('a job that does not return when it should holds the lead until its worker is killed', async (t) => {
  const all = await leaders(t, { env: { LEADER_JOB: 'ignores', TSUNICORN_GRACEFUL_TIMEOUT: '3' } });
  const [{ workerId } = { workerId: 0 }] = await all.untilLed(1);
  all.server.signal('SIGHUP');
  await all.server.untilLogged('a function given to onLeader() goes on although its signal is aborted');
  assert.equal(all.stints.length, 1);
  await all.untilLed(2);
  await exitOf(all, workerId);
  assert.deepEqual(all.account.overlaps, []);
});

test('what a job leaves behind that has returned runs until its worker has ended; then the next one leads', async (t) => {
  const all = await leaders(t, { env: { LEADER_JOB: 'leaves', TSUNICORN_WORKERS: '1' } });
  await all.untilLed(1);
  const inFlight = all.server.get('/slow');
  await waitFor('the request is in flight', async () => {
    return (await all.server.metric('tsunicorn_http_requests_in_flight{worker="0"}')) === 1;
  });
  all.server.signal('SIGHUP');
  await all.server.untilLogged('worker is ready', 2);
  assert.equal((await inFlight).body, 'slow');
  assertFollowed(await all.untilLed(2));
});

test('a job that has returned and listens to its signal gives the lead back at once', async (t) => {
  const all = await leaders(t, { env: { LEADER_JOB: 'listens', TSUNICORN_WORKERS: '1' } });
  const [first] = await all.untilLed(1);
  const inFlight = all.server.get('/slow');
  await waitFor('the request is in flight', async () => {
    return (await all.server.metric('tsunicorn_http_requests_in_flight{worker="0"}')) === 1;
  });
  all.server.signal('SIGHUP');
  const stints = await all.untilLed(2);
  assertFollowed(stints);
  const ended = all.server.log.some((line) => line.workerId === first?.workerId && line.msg.startsWith('worker ended'));
  assert.ok(!ended, 'it still answers its request');
  await inFlight;
});

test('a job that throws ends its worker as an unhandled rejection does, and another leads', async (t) => {
  const all = await leaders(t, { env: { LEADER_JOB: 'throws' } });
  const line = await all.server.untilLogged('unhandledRejection');
  assert.equal(line.level, 'fatal');
  await all.untilLed(2);
  assert.deepEqual(all.account.overlaps, []);
});

test('the AbortError of a job that is told to stop is no failure', async (t) => {
  const all = await leaders(t, { env: { LEADER_JOB: 'aborts' } });
  await all.untilLed(1);
  all.server.signal('SIGHUP');
  await all.untilLed(2);
  assert.deepEqual(all.server.logged('unhandledRejection'), []);
  assert.equal(await all.server.stop(), 0);
});

test('it may be called late, and by each worker', async (t) => {
  const all = await leaders(t, { env: { LEADER_JOB: 'none' } });
  assert.ok(!(await all.server.admin('/metrics')).body.includes('tsunicorn_leader{'));
  await all.server.get('/late');
  const [first] = await all.untilLed(1);
  assert.ok(first);
  process.kill((await all.pidOf(first.workerId)) ?? 0, 'SIGKILL');
  // The request may reach either worker.
  await waitFor('another leads', async () => {
    await all.server.get('/late').catch(() => {});
    return all.stints.length > 1;
  });
  assert.deepEqual(all.account.overlaps, []);
});

test('an arbiter that is killed takes the lead with it', async (t) => {
  const all = await leaders(t);
  await all.untilLed(1);
  const workers = childrenOf(all.server.pid);
  all.server.signal('SIGKILL');
  await waitFor('no worker is left', () => !workers.some(isRunning));
  assert.deepEqual(
    all.stints.map(({ ended }) => ended),
    [true],
  );
});

test('under plain node it runs at once; a thread of a worker is told that it cannot lead', () => {
  const url = JSON.stringify(new URL('../../dist/public.js', import.meta.url).href);
  const script = `import { onLeader } from ${url};
    try { onLeader((signal) => console.log('leads', signal.aborted)); } catch (error) { console.log(error.message); }`;
  const run = (env: NodeJS.ProcessEnv) =>
    execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8', env });
  assert.equal(run({}), 'leads false\n');
  assert.match(run({ TSUNICORN_WORKER_ID: '1' }), /^onLeader\(\) works in the main thread of a worker/);
});
