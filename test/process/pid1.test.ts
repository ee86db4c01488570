/** The duties of PID 1, in a PID namespace of its own (pid_namespaces(7)); pids here are those of the host. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, renameSync } from 'node:fs';
import { constants, setPriority } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { childrenOf, isRunning, type StartOptions, start, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const NATIVE = fileURLToPath(new URL('../../dist/platform/native/tsunicorn.node', import.meta.url));
const SLOW_LOAD = new URL('../fixtures/apps/orphans/slow-load.js', import.meta.url).href;

const AS_PID_1 = ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc'];
/** In a mount namespace: the native part cannot be loaded there. */
const HIDE_NATIVE = ['sh', '-c', 'mount --bind /dev/null "$0" && exec "$@"', NATIVE];
/** Becomes a child subreaper, then the command; the pid stays. */
const AS_SUBREAPER = [
  process.execPath,
  '--no-warnings',
  '-e',
  `const module = { exports: {} };
  process.dlopen(module, ${JSON.stringify(NATIVE)});
  module.exports.setChildSubreaper();
  process.execve(process.argv[1], process.argv.slice(1));`,
];

const native = existsSync(NATIVE) ? false : 'the native part is not built: no C compiler, or no node-api-headers';
const skip = process.getuid?.() === 0 ? native : 'namespaces need root';

/** `pid` is the arbiter's, seen from here. */
async function startAsPid1(t: TestContext, options: StartOptions = {}): Promise<{ server: TestServer; pid: number }> {
  const { wrapper = [], ...rest } = options;
  const server = await start(t, { app: 'orphans/app.js', wrapper: [...AS_PID_1, ...wrapper], ...rest });
  const [pid] = await waitFor('the namespace is there', () => {
    const children = childrenOf(server.pid);
    return children.length > 0 && children;
  });
  return { server, pid: pid as number };
}

/** Children that have ended and were not waited for. */
function zombiesOf(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').map(Number).filter(Boolean);
  return children.filter((child) => !isRunning(child));
}

async function leaveOrphans(server: TestServer, count: number): Promise<void> {
  const answers = await Promise.all([1, 2, 3, 4].map(() => server.get(`/orphans?n=${count / 4}`)));
  for (const { status } of answers) assert.equal(status, 200);
}

async function reaps200(server: TestServer, pid: number): Promise<void> {
  await leaveOrphans(server, 200);
  await waitFor('200 orphans are reaped', async () => (await server.metric('tsunicorn_orphans_reaped_total')) === 200);
  assert.deepEqual(zombiesOf(pid), []);
  await server.untilLogged('reaped an orphan', 200);
  const lines = server.logged('reaped an orphan');
  assert.ok(lines.every(({ level, code, signal }) => level === 'debug' && code === 3 && signal === null));
}

const debug = { TSUNICORN_LOG_LEVEL: 'debug', TSUNICORN_ACCESS_LOG: 'off' };

test('PID 1 reaps 200 orphans and counts them', { skip }, async (t) => {
  const { server, pid } = await startAsPid1(t, { env: debug });
  await server.ready();
  assert.equal(server.log[0]?.pid, 1);
  await reaps200(server, pid);
  assert.deepEqual(server.logged('PID 1'), []);
  process.kill(pid, 'SIGTERM');
  assert.equal((await server.exited).code, 0);
});

test('a child subreaper does the same', { skip }, async (t) => {
  const server = await (await start(t, { app: 'orphans/app.js', env: debug, wrapper: AS_SUBREAPER })).ready();
  await reaps200(server, server.pid);
  assert.equal(await server.stop(), 0);
});

test('without the native part zombies stay, and the log says how to mend it', { skip }, async (t) => {
  const { server, pid } = await startAsPid1(t, { wrapper: HIDE_NATIVE, env: debug });
  await server.ready();
  await leaveOrphans(server, 200);
  await waitFor('200 zombies', () => zombiesOf(pid).length === 200);
  const [warning, ...more] = server.logged('tsunicorn is PID 1 and cannot reap orphans');
  assert.equal(warning?.level, 'warn');
  assert.match(warning?.msg ?? '', /C compiler.*docker run --init.*tsunicorn\.node/);
  assert.deepEqual(more, []);
  assert.equal((await server.get('/')).body, 'hello');
  assert.equal(zombiesOf(pid).length, 200);
});

test('exit codes of workers are their own, while orphans end at the same moment', { skip }, async (t) => {
  const [workers, deaths, orphans] = [4, 30, 5];
  const env = { ...debug, TSUNICORN_WORKERS: String(workers), TSUNICORN_CRASH_LIMIT: '1000' };
  const { server, pid } = await startAsPid1(t, { env });
  await server.ready();
  const crashes = () => server.metric('tsunicorn_worker_restarts_total{reason="crash"}');
  for (let round = 1; (await crashes()) < deaths; round++) {
    // Each takes the worker along that it meets; some meet the same one.
    const requests = Array.from({ length: workers }, () => server.get(`/exit?code=7&n=${orphans}`));
    for (const { status } of await Promise.allSettled(requests)) assert.equal(status, 'rejected');
    // Or the next ones would have to wait ever longer: they die young.
    process.kill(pid, 'SIGHUP');
    await server.untilLogged('received SIGHUP', round);
    await waitFor('all serve, and none will be replaced', async () => {
      const { body } = await server.admin('/metrics');
      return [`ready"} ${workers}`, 'booting"} 0', 'draining"} 0'].every((part) => body.includes(`{state="${part}\n`));
    });
  }
  await waitFor('only workers are left', () => zombiesOf(pid).length === 0 && childrenOf(pid).length === workers);
  const total = await crashes();
  assert.ok((await server.metric('tsunicorn_orphans_reaped_total')) >= total * orphans);
  await server.untilLogged(/^worker ended: exit code 7$/, total);
  assert.equal(server.logged(/^worker ended: exit code 7$/).length, total);
  process.kill(pid, 'SIGTERM');
  assert.equal((await server.exited).code, 0);
});

test('signals to PID 1', { skip }, async (t) => {
  const { server, pid } = await startAsPid1(t, { env: { TSUNICORN_ERROR_LOG: 'server.log' } });
  const file = join(server.directory, 'server.log');
  const logged = (text: string): number => readFileSync(file, 'utf8').split(text).length - 1;
  const workers = (): number => childrenOf(pid).length;
  await server.ready();

  process.kill(pid, 'SIGHUP');
  await waitFor('HUP: two new workers', () => logged('worker is ready') === 4 && workers() === 2);
  process.kill(pid, 'SIGTTIN');
  await waitFor('TTIN: a third', () => logged('worker is ready') === 5 && workers() === 3);
  process.kill(pid, 'SIGTTOU');
  await waitFor('TTOU: two again', () => workers() === 2);
  process.kill(pid, 'SIGUSR2');
  await waitFor('USR2: a report', () => logged('status report') === 1);
  renameSync(file, `${file}.1`);
  process.kill(pid, 'SIGUSR1');
  await waitFor('USR1: a new file', () => existsSync(file));
  assert.equal((await server.get('/')).body, 'hello');
  process.kill(pid, 'SIGTERM');
  assert.equal((await server.exited).code, 0);
});

for (const signal of ['SIGINT', 'SIGQUIT'] as const) {
  test(`${signal} to PID 1`, { skip }, async (t) => {
    const { server, pid } = await startAsPid1(t);
    await server.ready();
    process.kill(pid, signal);
    assert.equal((await server.exited).code, 0);
  });
}

test('TERM to PID 1 is not lost while it loads, or while workers boot', { skip }, async (t) => {
  const loading = await startAsPid1(t, { env: { NODE_OPTIONS: `--import=${SLOW_LOAD}` } });
  await waitFor('it loads', () => loading.server.stderr.includes('loading the arbiter'));
  process.kill(loading.pid, 'SIGTERM');
  const booting = await startAsPid1(t, { app: 'slow-boot.js' });
  await booting.server.untilLogged('listening on');
  process.kill(booting.pid, 'SIGTERM');
  for (const { server } of [loading, booting]) {
    assert.equal((await server.exited).code, 0);
    assert.equal(server.logged('received SIGTERM').length, 1);
    assert.deepEqual(server.logged('worker is ready'), []);
  }
});

test('a worker that is stuck ends some seconds after its arbiter was killed', { skip }, async (t) => {
  // Beyond the graceful timeout come 5 s, in whole seconds.
  const env = { TSUNICORN_GRACEFUL_TIMEOUT: '0.5', TSUNICORN_WORKERS: '1' };
  const stuck: number[] = [];
  t.after(() => stuck.filter(isRunning).forEach((pid) => void process.kill(pid, 'SIGKILL'))); // they hold the pipes
  const server = await (await start(t, { app: 'orphans/app.js', env })).ready();
  const wrapper = ['unshare', '--mount', ...HIDE_NATIVE];
  const control = await (await start(t, { app: 'orphans/app.js', env, wrapper })).ready();
  for (const one of [server, control]) stuck.push(await makeStuck(one));
  const [worker = 0, other = 0] = stuck;

  control.signal('SIGKILL');
  const killedAt = performance.now();
  server.signal('SIGKILL');
  await waitFor('the stuck worker is gone', () => !isRunning(worker), { seconds: 20 });
  assert.ok(performance.now() - killedAt > 5_000, 'it had time to drain');
  assert.ok(isRunning(other), 'without the native part it is stuck for good');
});

/** Resolves with the pid of the worker once it is in an endless loop. */
async function makeStuck(server: TestServer): Promise<number> {
  const pid = Number((await server.get('/pid')).body);
  server.get('/spin?ms=600000').catch(() => undefined);
  await waitFor('its loop stands still', async () => {
    return await server.get('/', { signal: AbortSignal.timeout(300) }).then(
      () => false,
      () => true,
    );
  });
  setPriority(pid, constants.priority.PRIORITY_LOW); // the tests beside this one need the CPU
  return pid;
}

test('a worker that is well answers and ends by itself when its arbiter was killed', { skip: native }, async (t) => {
  const env = { TSUNICORN_GRACEFUL_TIMEOUT: '60' }; // the alarm is far away
  const server = await (await start(t, { app: 'orphans/app.js', env })).ready();
  const booting = await start(t, { app: 'slow-boot.js', env });
  const boots = await waitFor('workers boot', () => booting.workerPids().length === 2 && booting.workerPids());
  const workers = server.workerPids();
  const slow = server.get('/slow?ms=1000');
  await waitFor('it is in flight', async () => {
    const counts = [0, 1].map((slot) => server.metric(`tsunicorn_http_requests_in_flight{worker="${slot}"}`));
    return (await Promise.all(counts)).includes(1);
  });
  server.signal('SIGKILL');
  booting.signal('SIGKILL');
  assert.match((await slow).body, /^slow \d+$/);
  await waitFor('the workers are gone', () => ![...workers, ...boots].some(isRunning));
});
