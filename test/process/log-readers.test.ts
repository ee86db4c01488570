/** Readers of stdout and stderr that stop, where these are no pipe that can be opened once more. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  closeSync,
  constants,
  cpSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Load } from '../support/load.ts';
import { childrenOf, isRunning, type StartOptions, start, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

/** Well below the graceful timeout of 25 s, at which workers that hang are killed. */
const SOON = { seconds: 15 };
/** A few hundred lines of it are more than a socket, a pipe or a terminal holds. */
const LONG_PATH = `/read?${'x'.repeat(6000)}`;
const DROPPED = 'tsunicorn_log_lines_dropped_total';
const ROOT = fileURLToPath(new URL('../../', import.meta.url));

const app = 'standard-streams.js';
/** A write that waits in a thread of libuv's pool would keep the app from reading a file. */
const ONE_THREAD = { UV_THREADPOOL_SIZE: '1' };

/** Whether the workers ran their 'exit' handlers, as one that is killed does not. */
const ended = (server: TestServer, pids: readonly number[]): boolean =>
  pids.every((pid) => existsSync(join(server.directory, `ended-${pid}`)));

async function untilExited(server: TestServer): Promise<number | null> {
  await waitFor('the server has ended', () => !isRunning(server.pid), SOON);
  server.child.stdout?.resume();
  server.child.stderr?.resume();
  return (await server.exited).code;
}

/** Asks until no reader can have read all the access lines any more. */
async function fillAccessLog(t: TestContext, server: TestServer): Promise<void> {
  const load = new Load(t, { port: server.port, clients: 8, kind: 'keep-alive', path: LONG_PATH });
  await waitFor('more lines than there is room for', () => load.result.ok > 300, SOON);
  assert.deepEqual((await load.stop()).failures, {});
}

test('TERM, with a socket as stderr that the app has filled and has no reader', async (t) => {
  const server = await (await start(t, { app, env: { TSUNICORN_ACCESS_LOG: 'off' } })).ready();
  const workers = server.workerPids();
  server.child.stderr?.pause();
  assert.equal((await server.get('/flood')).status, 200);
  server.signal('SIGTERM');
  assert.equal(await untilExited(server), 0);
  assert.ok(ended(server, workers));
});

test('HUP and TERM, with a socket as stdout that has no reader: no worker waits, and lines are counted', async (t) => {
  const server = await (await start(t, { app, env: ONE_THREAD })).ready();
  const before = server.workerPids();
  server.child.stdout?.pause();
  await fillAccessLog(t, server);
  server.signal('SIGHUP');
  await server.untilLogged('is ready', 4);
  await server.untilLogged('worker ended: exit code 0', 2);
  assert.ok((await server.metric(DROPPED)) > 0);
  await fillAccessLog(t, server);
  const after = server.workerPids();
  server.signal('SIGTERM');
  assert.equal(await untilExited(server), 0);
  assert.ok(ended(server, [...before, ...after]));
});

test('an app that calls process.exit(), with a socket as stdout that has no reader, ends at once', async (t) => {
  const env = { TSUNICORN_WORKERS: '1' };
  const server = await (await start(t, { app, env })).ready();
  server.child.stdout?.pause();
  await fillAccessLog(t, server);
  await assert.rejects(server.get('/exit'));
  await server.untilLogged('worker ended: exit code 5');
});

const noScript = spawnSync('script', ['--version']).status === 0 ? false : 'there is no script(1)';

test('TERM, with a terminal that takes no more', { skip: noScript }, async (t) => {
  const wrapper = ['sh', '-c', 'exec script -qefc "exec $*" /dev/null', 'sh'];
  const server = await (await start(t, { app, env: { ...ONE_THREAD, TSUNICORN_LOG_LEVEL: 'warn' }, wrapper })).ready();
  const [arbiter = 0] = childrenOf(server.pid);
  const workers = childrenOf(arbiter);
  assert.equal(workers.length, 2);
  server.child.stdout?.pause();
  await fillAccessLog(t, server);
  process.kill(arbiter, 'SIGTERM');
  await waitFor('the server has ended', () => !isRunning(arbiter), SOON);
  assert.ok(ended(server, workers));
  server.child.stdout?.resume(); // script(1) has its part of it to write, too
  assert.equal(await untilExited(server), 0);
});

const notRoot = process.getuid?.() === 0 ? false : 'only root can start workers as another user';

test('TERM, with a FIFO as stdout that workers may not open', { skip: notRoot }, async (t) => {
  const { path, wrapper } = fifo(t);
  const server = await (await start(t, { app, env: { TSUNICORN_USER: '65534', FIFO: path }, wrapper })).ready();
  await fillAccessLog(t, server);
  await assert.rejects(server.get('/exit'));
  await server.untilLogged('worker ended: exit code 5');
  await server.untilLogged('is ready', 3);
  server.signal('SIGTERM');
  assert.equal(await untilExited(server), 0);
  assert.equal(server.logged('is killed').length, 0, server.stderr);
});

test('TERM without the native part: what cannot be written ends by SIGKILL', async (t) => {
  const env = { TSUNICORN_ACCESS_LOG: 'off' };
  const server = await (await start(t, { app, env, wrapper: withoutNative(t) })).ready();
  const workers = server.workerPids();
  await server.untilLogged('is ready', 2);
  server.child.stderr?.pause();
  // The second also fills the room that this process has made by reading until its own buffer was full.
  for (let i = 0; i < 2; i++) {
    const stat = `/proc/${(await server.get('/fill')).body}/stat`;
    await waitFor('it waits for room', () => readFileSync(stat, 'utf8').includes('(head) S'));
  }
  server.signal('SIGTERM');
  assert.equal(await untilExited(server), null);
  assert.ok(ended(server, workers));
});

test('a worker that ends its stdout and stderr ends no other process’s', async (t) => {
  const server = await (await start(t, { app })).ready();
  assert.equal((await server.get('/end')).status, 200);
  assert.equal((await server.get('/?after')).status, 200);
  server.signal('SIGHUP');
  await server.untilLogged('is ready', 4);
  await waitFor('the access log goes on', () => server.access.some(({ query }) => query === 'after'));
  assert.match(server.stderr, /the last of stderr\n/);
  assert.match(server.stdout, /the last of stdout\n/);
  assert.equal(await server.stop(), 0);
});

test('a warning of Node.js goes to the log, and does not stop the arbiter if that has no reader', async (t) => {
  const late = "process.on('SIGCONT', () => process.emitWarning('x'.repeat(1e6)))";
  const nodeArgs = ['--import', `data:text/javascript,process.emitWarning('early');${late}`];
  const server = await (await start(t, { app, env: { TSUNICORN_ACCESS_LOG: 'off' }, nodeArgs })).ready();
  assert.equal((await server.untilLogged(/^early$/)).level, 'warn');
  server.child.stderr?.pause();
  server.signal('SIGCONT');
  server.signal('SIGCONT');
  server.signal('SIGTERM');
  assert.equal(await untilExited(server), 0);
});

/** One that only its owner may open, with a reader that never reads. */
function fifo(t: TestContext): { path: string; wrapper: string[] } {
  const directory = mkdtempSync(join(tmpdir(), 'tsunicorn-fifo-'));
  const path = join(directory, 'fifo');
  execFileSync('mkfifo', ['-m', '600', path]);
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  t.after(() => {
    closeSync(fd);
    rmSync(directory, { recursive: true });
  });
  return { path, wrapper: ['sh', '-c', 'exec "$@" >"$FIFO"', 'sh'] };
}

/** Runs a copy of what was built, less the native part. */
function withoutNative(t: TestContext): NonNullable<StartOptions['wrapper']> {
  const copy = mkdtempSync(join(tmpdir(), 'tsunicorn-plain-'));
  t.after(() => rmSync(copy, { recursive: true }));
  for (const name of ['dist', 'package.json']) cpSync(join(ROOT, name), join(copy, name), { recursive: true });
  rmSync(join(copy, 'dist/platform/native/tsunicorn.node'), { force: true });
  symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
  return ['sh', '-c', `exec "$1" ${copy}/dist/main.js`, 'sh'];
}
