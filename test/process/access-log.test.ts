import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readFileSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Load } from '../support/load.ts';
import { run, start } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

test('Gunicorn’s atoms, of a real request and its response', async (t) => {
  const env = {
    TSUNICORN_ACCESS_LOG_FORMAT: '%(m)s %(U)s %(q)s %(s)s %(B)s "%({connection}o)s" "%({x}i)s" %({REGION}e)s %(p)s',
    TSUNICORN_WORKERS: '1',
    REGION: 'north',
  };
  const server = await (await start(t, { app: 'basic.js', env })).ready();
  const pid = server.workerPids()[0];
  await server.get('/?a=1', { headers: { x: 'a "quoted" \xff' } });
  assert.equal(await server.stop(), 0);
  assert.equal(server.stdout, `GET / a=1 200 5 "close" "a \\"quoted\\" \\xFF" north <${pid}>\n`);
});

test('combined is what log analysers know', async (t) => {
  const env = { TSUNICORN_ACCESS_LOG_FORMAT: 'combined' };
  const server = await (await start(t, { app: 'basic.js', env })).ready();
  await server.get('/', { auth: 'ann:secret', headers: { 'user-agent': 'me' } });
  assert.equal(await server.stop(), 0);
  assert.match(
    server.stdout,
    /^127\.0\.0\.1 - ann \[\d\d\/\w{3}\/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET \/ HTTP\/1\.1" 200 5 "-" "me"\n$/,
  );
});

test('a format with an unknown atom is a configuration error that names it', async (t) => {
  const env = { TSUNICORN_ACCESS_LOG_FORMAT: '%(h)s %(status)s' };
  const { code, stderr } = await run(t, { app: 'basic.js', env });
  assert.equal(code, 78);
  assert.match(stderr, /^TSUNICORN_ACCESS_LOG_FORMAT=.*%\(status\)s is not an atom/m);
});

test('a log file that cannot be opened ends the start, and says which', async (t) => {
  const path = '/nowhere/a.log';
  const arbiter = await run(t, { app: 'basic.js', env: { TSUNICORN_ERROR_LOG: path } });
  assert.equal(arbiter.code, 78);
  assert.match(arbiter.stderr, /cannot open TSUNICORN_ERROR_LOG: ENOENT.*\/nowhere\/a\.log/);
  const worker = await run(t, { app: 'basic.js', env: { TSUNICORN_ACCESS_LOG: path } });
  assert.equal(worker.code, 78);
  assert.match(worker.log.at(-1)?.msg ?? '', /cannot open TSUNICORN_ACCESS_LOG: ENOENT.*\/nowhere\/a\.log/);
});

for (const where of ['a pipe', 'a file']) {
  test(`is complete at the end, in ${where}, over a reload`, async (t) => {
    const env = where === 'a file' ? { TSUNICORN_ACCESS_LOG: 'access.log' } : {};
    const server = await (await start(t, { app: 'basic.js', env, ...(where === 'a pipe' && piped()) })).ready();
    const load = new Load(t, { port: server.port, clients: 8, kind: 'keep-alive', path: '/?load' });
    await waitFor('some load', () => load.result.ok > 500);
    server.signal('SIGHUP');
    await server.untilLogged('is ready', 4);
    const { ok, failures } = await load.stop();
    assert.deepEqual(failures, {});
    assert.equal(await server.stop(), 0);
    const text = where === 'a file' ? readFileSync(join(server.directory, 'access.log'), 'utf8') : server.stdout;
    const lines = text.trimEnd().split('\n');
    assert.equal(lines.filter((line) => JSON.parse(line).query === 'load').length, ok);
  });
}

/** `cat` between the server and the test: Node.js gives its children socket pairs in place of pipes. */
function piped(): { wrapper: string[] } {
  return { wrapper: ['bash', '-c', 'exec "$@" > >(cat)', 'bash'] };
}

/** Longer than a request line usually is, so that few fill the pipe of 64 KiB and the buffer of 4 MiB behind it. */
const LONG_PATH = `/?${'x'.repeat(6000)}`;

test('a reader that stopped stops no request; what it missed is counted, and it may come back', async (t) => {
  const reader = stoppedReader(t);
  const env = { TSUNICORN_WORKERS: '1' };
  const server = await (await start(t, { app: 'basic.js', env, wrapper: reader.wrapper })).ready();
  const dropped = 'tsunicorn_log_lines_dropped_total';
  const load = new Load(t, { port: server.port, clients: 8, kind: 'keep-alive', path: LONG_PATH });
  await waitFor('lines are dropped', async () => (await server.metric(dropped)) > 0);
  const before = load.result.ok;
  await waitFor('it goes on serving', () => load.result.ok > before + 100);
  const { ok, failures } = await load.stop();
  assert.deepEqual(failures, {});
  await waitFor(
    'all are counted',
    async () => (await server.metric('tsunicorn_http_requests_total{method="GET",code="200"}')) === ok,
  );
  const missed = await server.metric(dropped);
  assert.ok(missed > 0 && missed < ok, `${missed} of ${ok}`);
  // Whole lines, and all of them but those that were counted.
  await waitFor('the reader has caught up', () => reader.read().length === ok - missed);
  for (const line of reader.read()) assert.equal(JSON.parse(line).status, 200);
  await server.get('/');
  await waitFor('a new line', () => reader.read().at(-1)?.includes('"path":"/","query":""'));
  assert.equal(await server.stop(), 0);
});

test('a reader that stopped does not hold up the end', async (t) => {
  const reader = stoppedReader(t);
  const server = await (await start(t, { app: 'basic.js', wrapper: reader.wrapper })).ready();
  const load = new Load(t, { port: server.port, clients: 8, kind: 'keep-alive', path: LONG_PATH });
  await waitFor('more than the pipe holds', () => load.result.ok > 100);
  await load.stop();
  assert.equal(await server.stop(), 0);
  assert.equal(server.logged('is killed').length, 0, server.stderr);
});

test('the same reader stops an app that writes its own lines and waits', async (t) => {
  const reader = stoppedReader(t);
  const env = { TSUNICORN_WORKERS: '1', TSUNICORN_ACCESS_LOG: 'off' };
  const server = await (await start(t, { app: 'sync-log.js', env, wrapper: reader.wrapper })).ready();
  let answered = 0;
  while (answered < 1000 && (await answers(server.get('/')))) answered++;
  assert.ok(answered > 0 && answered < 1000, `${answered} answers`);
});

async function answers(answer: Promise<unknown>): Promise<boolean> {
  const timeout = Promise.withResolvers<false>();
  const timer = setTimeout(() => timeout.resolve(false), 2_000);
  try {
    return await Promise.race([answer.then(() => true).catch(() => false), timeout.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** A real pipe, open for reading and not read until `read` is called; that returns all lines so far. */
function stoppedReader(t: TestContext): { wrapper: string[]; read: () => string[] } {
  const directory = mkdtempSync(join(tmpdir(), 'tsunicorn-pipe-'));
  const path = join(directory, 'pipe');
  execFileSync('mkfifo', [path]);
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  t.after(() => {
    closeSync(fd);
    rmSync(directory, { recursive: true });
  });
  const buffer = Buffer.alloc(64 * 1024);
  let text = '';
  const read = (): string[] => {
    try {
      for (let n = 1; n > 0; text += buffer.toString('latin1', 0, n)) n = readSync(fd, buffer);
    } catch {
      // EAGAIN: nothing there now
    }
    return text.split('\n').slice(0, -1);
  };
  return { wrapper: ['sh', '-c', 'exec "$@" > "$0"', path], read };
}
