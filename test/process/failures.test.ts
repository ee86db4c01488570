/** What fails in a callback of the arbiter is logged with its subject, and the server goes on; only HaltServer ends it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { start, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const FAULTY = fileURLToPath(new URL('../support/faulty.ts', import.meta.url));
const WORKERS = 2;

interface Fault {
  readonly name: string;
  /** As the log has it. */
  readonly what: RegExp;
  readonly env?: Record<string, string>;
  /** Brings it about; else it comes by itself. */
  readonly cause?: (server: TestServer) => unknown;
  /** What it must not have prevented. */
  readonly after?: (server: TestServer) => unknown;
}

const killOne = (server: TestServer): unknown => process.kill(server.workerPids()[0] ?? 0, 'SIGKILL');
const replaced = (server: TestServer): unknown => server.untilLogged('worker is ready', WORKERS + 1);
const spin = (server: TestServer): unknown => server.get('/spin').catch(() => {});

const FAULTS: readonly Fault[] = [
  {
    name: 'timer',
    what: /^resizing$/,
    env: { TSUNICORN_RESIZE_INTERVAL: '0.3' },
    after: (server) => server.signal('SIGTTIN'),
  },
  {
    name: 'signal',
    what: /^SIGHUP$/,
    cause: (server) => server.signal('SIGHUP'),
    after: async (server) => {
      server.signal('SIGHUP');
      await server.untilLogged('worker is ready', 2 * WORKERS);
    },
  },
  { name: 'message', what: /^message report of worker \d+$/ },
  { name: 'exit', what: /^exit of worker \d+$/, cause: killOne, after: replaced },
  { name: 'exit, late', what: /^exit of worker \d+$/, cause: killOne, after: replaced },
  { name: 'immediate', what: /^adding a worker's metrics$/, cause: killOne, after: replaced },
  {
    name: 'admin request',
    what: /^answering \/metrics$/,
    cause: async (server) => assert.equal((await server.admin('/metrics')).status, 500),
  },
  { name: 'kill', what: /^killing a worker$/, env: { TSUNICORN_TIMEOUT: '1' }, cause: spin, after: replaced },
  {
    name: 'report',
    what: /^status report$/,
    cause: (server) => server.signal('SIGUSR2'),
    after: async (server) => {
      server.signal('SIGUSR2');
      await server.untilLogged('status report', 2); // the first is the failure
    },
  },
  {
    name: 'spawn',
    what: /^spawning worker 3$/,
    cause: killOne,
    after: replaced,
  },
  { name: 'notifier', what: /^notifying the service manager$/ },
  { name: 'timer of its own', what: /^a callback \(uncaughtException\)$/ },
  { name: 'promise', what: /^a callback \(unhandledRejection\)$/ },
];

const startFaulty = (t: Parameters<typeof start>[0], name: string, env: Record<string, string> = {}) =>
  start(t, {
    app: 'faults.js',
    env: { TSUNICORN_WORKERS: String(WORKERS), ...env },
    wrapper: [process.execPath, FAULTY, name],
  });

const GOES_ON = / failed; the server goes on$/;

for (const { name, what, env, cause, after } of FAULTS) {
  test(`a fault in a callback does not end the server: ${name}`, async (t) => {
    const server = await (await startFaulty(t, name, env)).ready();
    await cause?.(server);
    const line = await server.untilLogged(GOES_ON);
    assert.match(line.msg.replace(GOES_ON, ''), what);
    assert.equal((line.err as Error).message, 'a fault of the test');
    assert.equal(line.level, 'error');
    await after?.(server);
    await waitFor('all serve', () => server.workerPids().length >= WORKERS);
    assert.equal((await server.get('/')).status, 200);
    assert.equal((await server.admin('/metrics')).status, 200);
    assert.equal((await server.admin('/status')).status, 200);
    assert.equal(await server.stop(), 0);
  });
}

test('a worker that cannot be told to drain is killed when its time is over', async (t) => {
  const server = await (await startFaulty(t, 'decision', { TSUNICORN_GRACEFUL_TIMEOUT: '1' })).ready();
  assert.equal(await server.stop(), 0);
  assert.equal(server.logged(/^decision drain failed; the server goes on$/).length, WORKERS);
  assert.equal(server.logged('worker is killed: still draining at its deadline').length, WORKERS);
});

test('a fault in the stop does not change its exit code', async (t) => {
  const server = await (await startFaulty(t, 'stop')).ready();
  assert.equal(await server.stop(), 0);
  assert.equal(server.logged(/^the stop failed/).length, 1);
});

for (const name of ['halt', 'halt in a timer of its own']) {
  test(`HaltServer ends the server from wherever it is thrown: ${name}`, async (t) => {
    const server = await startFaulty(t, name, { TSUNICORN_RESIZE_INTERVAL: '1' });
    assert.equal((await server.exited).code, 69);
    assert.equal(server.log.at(-1)?.msg, 'halted by the test');
  });
}
