/** Programs that end by themselves, or have their own way to end: signal handlers, process.exit(), hooks. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createReadStream, mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { test } from 'node:test';
import { isRunning, start, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const one = { TSUNICORN_WORKERS: '1' };

/** Waits until the program says that it has so many requests in flight. */
async function inFlight(server: TestServer, count = 1): Promise<void> {
  await waitFor('the request is in flight', () => server.stdout.split('in flight').length > count);
}

/** What it says, before it ends with which code of the worker. */
const handlers: [handler: string, says: string[], code: number][] = [
  ['close, then exit', [], 0],
  ['exit at once', [], 0],
  ['exit with a code', [], 12],
  ['close the database, then exit', ['database closed'], 0],
  ['close everything one after the other', ['server closed ', 'database closed'], 0],
  ['await, then close', ['listening true', 'closed false null', 'ERR_SERVER_NOT_RUNNING'], 0],
  ['await long, close all connections first', ['closed', 'cleaned up'], 0],
  ['close later, awaited by nobody', ['closed'], 0],
  ['await, then dispose', ['disposed'], 0],
  ['no exit', ['done'], 0],
  ['kill itself', [], 0],
  ['throw', [], 0],
  ['reject', [], 0],
];

for (const [handler, says, code] of handlers) {
  test(`a SIGTERM handler runs in the drain and cuts no request: ${handler}`, async (t) => {
    const env = { ...one, HANDLER: handler };
    const server = await (await start(t, { app: 'programs/terminates.js', env })).ready();
    const [pid] = server.workerPids();
    const slow = server.get('/slow');
    await inFlight(server);
    server.signal('SIGTERM');
    assert.equal((await slow).body, 'database open');
    assert.equal((await server.exited).code, 0);
    const said = server.stdout
      .split('\n')
      .flatMap((line) => /^program \d+: (.*)$/.exec(line)?.[1] ?? [])
      .filter((text) => text !== 'in flight');
    assert.deepEqual(said, ['SIGTERM 15', ...says]);
    assert.equal(server.logged(`worker ended: exit code ${code}`).length, 1, server.stderr);
    assert.equal(server.logged("the app's signal handler failed").length, /throw|reject/.test(handler) ? 1 : 0);
    assert.ok(!isRunning(pid ?? 0));
    assert.equal(server.access.length, 1);
  });
}

test('a handler that never settles does not hold a worker that has nothing left to do', async (t) => {
  const env = { ...one, HANDLER: 'never settles' };
  const server = await (await start(t, { app: 'programs/terminates.js', env })).ready();
  const at = performance.now();
  assert.equal(await server.stop(), 0);
  assert.ok(performance.now() - at < 10_000, 'long before the graceful timeout');
  assert.equal(server.logged('is killed').length, 0);
});

test('without a handler for SIGTERM those for SIGINT run', async (t) => {
  const env = { ...one, HANDLER: 'no exit', SIGNAL: 'SIGINT' };
  const server = await (await start(t, { app: 'programs/terminates.js', env })).ready();
  assert.equal(await server.stop(), 0);
  assert.match(server.stdout, /SIGINT 2\n.*done/);
});

test('signals that reach the worker itself run no handler before the drain', async (t) => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const env = { ...one, HANDLER: 'exit at once', SIGNAL: signal };
    const server = await (await start(t, { app: 'programs/terminates.js', env })).ready();
    const [old = 0] = server.workerPids();
    const slow = server.get('/slow');
    await inFlight(server);
    process.kill(old, signal);
    assert.equal((await slow).body, 'database open');
    if (signal === 'SIGTERM') {
      await waitFor('it is replaced', () => !isRunning(old));
      assert.match(server.stdout, new RegExp(`program ${old}: SIGTERM`));
    } else {
      assert.equal((await server.get('/slow')).body, 'database open');
      assert.deepEqual(server.workerPids(), [old]);
      assert.doesNotMatch(server.stdout, /SIGINT/);
    }
    assert.equal(await server.stop(), 0);
  }
});

test('a handler ends WebSockets, which are left when the requests are over', async (t) => {
  const env = { ...one, HANDLER: 'end sockets' };
  const server = await (await start(t, { app: 'programs/terminates.js', env })).ready();
  const socket = net.connect(server.port, '127.0.0.1').setEncoding('utf8');
  socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk;
  });
  await waitFor('upgraded', () => text.includes(' 101 '));
  const slow = server.get('/slow');
  await inFlight(server);
  const at = performance.now();
  server.signal('SIGTERM');
  assert.equal((await slow).body, 'database open');
  assert.equal((await server.exited).code, 0);
  assert.match(text, /bye$/);
  assert.ok(performance.now() - at < 10_000, 'long before the graceful timeout');
  assert.equal(server.logged('is killed').length, 0);
});

test('a response that goes on for ever does not keep the handlers from running', async (t) => {
  const env = { ...one, HANDLER: 'no exit', TSUNICORN_GRACEFUL_TIMEOUT: '6' };
  const server = await (await start(t, { app: 'programs/terminates.js', env })).ready();
  const stream = server.get('/stream').catch(() => 'cut');
  await inFlight(server);
  server.signal('SIGTERM');
  await waitFor('the handler has run', () => server.stdout.includes('done'), { seconds: 5.4 });
  assert.equal((await server.exited).code, 0);
  assert.equal(await stream, 'cut');
});

test('process.exit() of an app that serves is reported, counts as a crash, and loses no line', async (t) => {
  const server = await (await start(t, { app: 'programs/exits.js', env: one })).ready();
  const [old = 0] = server.workerPids();
  for (let i = 0; i < 20; i++) await server.get('/');
  await assert.rejects(server.get('/exit/7'));
  const line = await server.untilLogged('the app called process.exit(7): this worker ends at once');
  assert.match(String(line.stack), /^process\.exit\(\): called\n.*exits\.js:\d+/);
  await server.untilLogged('worker ended: exit code 7');
  await server.untilLogged('is ready', 2);
  assert.ok(!isRunning(old));
  assert.equal(await server.metric('tsunicorn_worker_restarts_total{reason="crash"}'), 1);
  assert.equal(await server.metric('tsunicorn_http_requests_total{method="GET",code="200"}'), 20);
  assert.equal(server.access.filter(({ status }) => status === 200).length, 20);
  assert.equal(await server.stop(), 0);
});

test('3: process.exit() of an app that boots, whatever the code', async (t) => {
  for (const [app, code] of [
    ['broken/exits.js', 7],
    ['broken/exits-well.js', 0],
  ] as const) {
    const server = await start(t, { app, env: { ...one, TSUNICORN_CRASH_LIMIT: '1' } });
    assert.equal((await server.exited).code, 3);
    const reason = `exit code ${code}: the app called process.exit(${code}) while it booted`;
    assert.ok(server.log.at(-1)?.msg.endsWith(reason), server.stderr);
    const line = server.log.find(({ msg, level }) => msg === reason && level === 'error');
    assert.match(String(line?.stack), /exits(-well)?\.js:\d+/);
  }
});

test('3: an uncaught exception while the app boots', async (t) => {
  const server = await start(t, { app: 'broken/rejects-late.js', env: { ...one, TSUNICORN_CRASH_LIMIT: '1' } });
  assert.equal((await server.exited).code, 3);
  assert.match(server.log.at(-1)?.msg ?? '', /the last: no database yet/);
  assert.match(JSON.stringify(server.logged('the app failed to load')[0]?.err), /rejects-late\.js:\d+/);
});

test('an app that closes its server is replaced after its requests', async (t) => {
  const server = await (await start(t, { app: 'programs/exits.js', env: one })).ready();
  assert.equal((await server.get('/close')).body, 'closing');
  await server.untilLogged('the app closed its server: this worker finishes its requests and is replaced');
  await server.untilLogged('is ready', 2);
  assert.equal((await server.get('/')).status, 200);
  assert.equal(await server.metric('tsunicorn_worker_restarts_total{reason="crash"}'), 1);
  assert.equal(await server.stop(), 0);
});

test('onStartup comes before the first request, onShutdown first in the drain', async (t) => {
  const server = await (await start(t, { app: 'programs/hooks.js', env: one })).ready();
  assert.equal((await server.get('/')).body, 'open');
  const slow = server.get('/slow');
  await inFlight(server);
  server.signal('SIGTERM');
  assert.equal((await slow).body, 'open');
  assert.equal((await server.exited).code, 0);
  const said = server.stdout.split('\n').filter((line) => line !== '' && !line.startsWith('{'));
  assert.deepEqual(said, ['in flight', 'onShutdown begins', 'answered', 'onShutdown ends']);
});

test('hooks of a CommonJS module; check runs none', async (t) => {
  const server = await (await start(t, { app: 'programs/hooks.cjs', env: one })).ready();
  assert.equal((await server.get('/')).body, 'started');
  assert.equal(await server.stop(), 0);
  assert.match(server.stdout, /^shut down$/m);
  const check = await start(t, { app: 'programs/hooks.js', args: ['check'], env: { HOOK: 'startup fails' } });
  assert.equal((await check.exited).code, 0);
});

test('3: onStartup that throws, and one that hangs', async (t) => {
  const env = { ...one, TSUNICORN_CRASH_LIMIT: '1' };
  const fails = await start(t, { app: 'programs/hooks.js', env: { ...env, HOOK: 'startup fails' } });
  assert.equal((await fails.exited).code, 3);
  assert.match(fails.log.at(-1)?.msg ?? '', /no database/);
  assert.match(JSON.stringify(fails.logged('the app failed to load')[0]?.err), /onStartup.*hooks\.js:\d+/);
  const hangs = await start(t, {
    app: 'programs/hooks.js',
    env: { ...env, HOOK: 'startup hangs', TSUNICORN_BOOT_TIMEOUT: '3' },
  });
  assert.equal((await hangs.exited).code, 3);
  assert.match(
    hangs.log.at(-1)?.msg ?? '',
    /not ready within 3 s \(TSUNICORN_BOOT_TIMEOUT\): onStartup\(\) has not settled/,
  );
});

test('onShutdown that throws is logged, one that hangs is ended by the graceful timeout', async (t) => {
  const env = { ...one, TSUNICORN_GRACEFUL_TIMEOUT: '1.5' };
  const fails = await (await start(t, { app: 'programs/hooks.js', env: { ...env, HOOK: 'shutdown fails' } })).ready();
  assert.equal(await fails.stop(), 0);
  const [line] = fails.logged('onShutdown() failed');
  assert.match(JSON.stringify(line?.err), /no goodbye.*hooks\.js:\d+/);
  assert.equal(fails.logged('is killed').length, 0);
  const hangs = await (await start(t, { app: 'programs/hooks.js', env: { ...env, HOOK: 'shutdown hangs' } })).ready();
  assert.equal(await hangs.stop(), 0);
  assert.equal(hangs.logged('is killed').length, 1);
});

test('what an app writes into a pipe arrives whole and complete', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'tsunicorn-pipe-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const pipe = join(directory, 'stdout');
  execFileSync('mkfifo', [pipe]);
  // Not a socket pair, as between parent and child: only of a pipe is it true that short lines are not torn (pipe(7)).
  const wrapper = ['sh', '-c', 'pipe=$0; exec "$@" > "$pipe"', pipe];
  const starting = start(t, { app: 'programs/chatty.js', wrapper });
  const stream = createReadStream(pipe, { encoding: 'utf8' });
  const server = await (await starting).ready();
  let text = '';
  stream.on('data', (chunk) => {
    text += chunk;
  });
  const requests = 20;
  for (let i = 0; i < requests / 2; i++) await Promise.all([server.get('/'), server.get('/')]);
  stream.pause(); // the pipe is full when the workers end
  server.signal('SIGTERM');
  await waitFor('both drain', () => server.stderr.split('worker drains').length > 2);
  stream.resume();
  assert.equal((await server.exited).code, 0);
  await finished(stream);
  const lines = text.split('\n').filter((line) => line !== '');
  const torn = lines.filter((line) => !isWhole(line));
  assert.deepEqual(
    torn.map((line) => line.slice(0, 80)),
    [],
  );
  const written = lines.filter((line) => line.includes('"program"')).map((line) => JSON.parse(line));
  assert.equal(written.filter(({ i }) => typeof i === 'number').length, requests * 20);
  assert.equal(written.filter(({ i }) => String(i).startsWith('last')).length, 2 * 500);
  assert.equal(lines.length - written.length, requests, 'the access log');
  assert.equal(
    server.stderr.split('\n').filter((line) => line.includes('"program"') && isWhole(line)).length,
    requests,
  );
});

function isWhole(line: string): boolean {
  try {
    JSON.parse(line);
    return true;
  } catch {
    return false;
  }
}
