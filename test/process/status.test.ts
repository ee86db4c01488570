/** What the admin address answers besides health and metrics: /status and the files of the live page. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Status } from '../../src/admin/status.ts';
import { request, run, start, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const quiet = { TSUNICORN_ACCESS_LOG: 'off' };

async function status(server: TestServer): Promise<Status> {
  const { status, headers, body } = await server.admin('/status');
  assert.equal(status, 200);
  assert.equal(headers['content-type'], 'application/json; charset=utf-8');
  return JSON.parse(body);
}

test('/status says what runs, what it did, and how it was sized', async (t) => {
  const server = await (await start(t, { app: 'basic.js', env: quiet })).ready();
  for (let i = 0; i < 10; i++) await server.get('/');
  await server.get('/missing');
  await server.get('/throw');
  const slow = server.get('/slow?ms=1500');
  const now = await waitFor('the slow request is in flight', async () => {
    const seen = await status(server);
    return seen.workers.some(({ inFlight }) => inFlight === 1) && seen;
  });
  assert.equal(now.pid, server.pid);
  assert.deepEqual(now.readiness, { ready: true, reason: '2 of 2 workers are ready' });
  assert.deepEqual(now.listeners, [`http://127.0.0.1:${server.port}`]);
  assert.deepEqual(now.totals.requests, { '2xx': 10, '4xx': 1, '5xx': 1 }, 'fresh, not of the last heartbeat');
  assert.equal(
    now.totals.latency.counts.reduce((a, b) => a + b, 0),
    12,
  );
  assert.deepEqual(
    now.workers.map(({ slot, workerId, state }) => [slot, workerId, state]),
    [
      [0, 1, 'ready'],
      [1, 2, 'ready'],
    ],
  );
  assert.deepEqual(now.workers.map(({ pid }) => pid).sort(), server.workerPids().sort());
  assert.equal(
    now.workers.reduce((sum, { requests }) => sum + requests, 0),
    12,
  );
  for (const { residentBytes, heapUsedBytes, heapLimitBytes, eventLoopUtilization, seconds } of now.workers) {
    assert.ok((heapUsedBytes ?? 0) > 1e6 && (heapUsedBytes ?? 0) < (residentBytes ?? 0));
    assert.ok((heapLimitBytes ?? 0) > 1e8);
    assert.ok((eventLoopUtilization ?? -1) >= 0 && (eventLoopUtilization ?? 2) <= 1);
    assert.ok(seconds > 0 && seconds < now.seconds);
  }
  assert.equal(now.sizing.workers, 2);
  assert.ok(server.logged(now.sizing.why).length === 1, 'the decision as the log has it');
  assert.equal((await slow).status, 200);
});

test('/status has the settings as `tsunicorn config --json` has them', async (t) => {
  const env = { ...quiet, TSUNICORN_WORKERS: undefined, WEB_CONCURRENCY: '1', TSUNICORN_WORKER_HEAP: '96MiB' };
  const server = await (await start(t, { app: 'basic.js', env })).ready();
  const { settings, workers } = await status(server);
  assert.deepEqual(settings.TSUNICORN_WORKERS, { value: '1', origin: 'env', variable: 'WEB_CONCURRENCY' });
  const bind = `127.0.0.1:${server.port}`;
  const admin = `127.0.0.1:${server.adminPort}`;
  const same = { ...env, TSUNICORN_BIND: bind, TSUNICORN_ADMIN_BIND: admin, TSUNICORN_CHDIR: server.directory };
  const { stdout } = await run(t, { app: 'basic.js', env: same, args: ['config', '--json'] });
  const { TSUNICORN_CHDIR: _, ...printed } = JSON.parse(stdout);
  const { TSUNICORN_CHDIR: directory, ...answered } = settings;
  assert.deepEqual(answered, printed);
  assert.equal(directory?.value, server.directory);
  // V8's young space comes on top of the old one.
  assert.ok((workers[0]?.heapLimitBytes ?? 0) >= 96 * 2 ** 20 && (workers[0]?.heapLimitBytes ?? 0) < 200 * 2 ** 20);
});

test('workers that ended: restarts of the slot, the reason, what they said and where they were', async (t) => {
  const env = { ...quiet, TSUNICORN_GRACEFUL_TIMEOUT: '1', TSUNICORN_TIMEOUT: '1' };
  const server = await (await start(t, { app: 'basic.js', env })).ready();
  const ended = async (count: number) =>
    await waitFor(`${count} ended, all replaced`, async () => {
      const seen = await status(server);
      return seen.exits.length === count && seen.readiness.ready && seen.workers.length === 2 && seen;
    });
  process.kill(server.workerPids()[0] ?? 0, 'SIGKILL');
  const { exits: first, workers } = await ended(1);
  const [{ time, slot, workerId, pid, seconds, ...killed } = assert.fail()] = first;
  assert.deepEqual(killed, { reason: 'crash', how: 'SIGKILL', message: null, stack: null });
  assert.deepEqual([workerId, server.workerPids().includes(pid ?? 0)], [slot + 1, false]);
  assert.ok(seconds > 0 && Date.now() - Date.parse(time) < 30_000);
  assert.deepEqual(
    workers.map((worker) => [worker.slot, worker.restarts]),
    [
      [0, slot === 0 ? 1 : 0],
      [1, slot === 1 ? 1 : 0],
    ],
  );

  await server.get('/uncaught').catch(() => undefined);
  const [thrown] = (await ended(2)).exits;
  assert.equal(thrown?.reason, 'crash');
  assert.equal(thrown?.message, 'uncaught on purpose');
  assert.match(thrown?.stack ?? '', /^Error: uncaught on purpose\n\s+at .*basic\.js:\d+:\d+/);

  await server.get('/spin?ms=60000').catch(() => undefined);
  const { exits, totals } = await ended(3);
  assert.deepEqual([exits[0]?.reason, exits[0]?.how], ['stall', 'SIGKILL']);
  assert.match(exits[0]?.message ?? '', /silent for 1 s/);
  assert.match(exits[0]?.stack ?? '', /basic\.js:\d+/, 'where it was stuck');
  assert.deepEqual([totals.restarts.crash, totals.restarts.stall], [2, 1]);
});

test('a release that does not boot leaves its reason and its stack, one that does leaves the old workers', async (t) => {
  const server = await start(t, { env: { ...quiet, TSUNICORN_APP: 'app.mjs' } });
  const app = join(server.directory, 'app.mjs');
  writeFileSync(app, 'export default (request, response) => response.end();');
  await server.ready();
  writeFileSync(app, 'throw new Error("no database");');
  server.signal('SIGHUP');
  await server.untilLogged('the reload is given up');
  const { exits, workers } = await status(server);
  const [{ reason, how, message, stack } = assert.fail()] = exits;
  assert.deepEqual([exits.length, reason, how], [1, 'boot', 'exit code 3']);
  assert.match(message ?? '', /no database/);
  assert.match(stack ?? '', /^Error: no database\n\s+at .*app\.mjs:1/);
  assert.deepEqual(
    workers.map(({ workerId, restarts }) => [workerId, restarts]),
    [
      [1, 1],
      [2, 0],
    ],
  );

  writeFileSync(app, 'export default (request, response) => response.end();');
  server.signal('SIGHUP');
  await waitFor('both were replaced', async () => (await status(server)).exits.length === 3);
  assert.deepEqual(
    (await status(server)).exits.slice(0, 2).map((exit) => [exit.reason, exit.how, exit.message]),
    [
      ['reload', 'exit code 0', null],
      ['reload', 'exit code 0', null],
    ],
  );
});

test('a stuck worker delays /status by a quarter of a second, once', async (t) => {
  const server = await (await start(t, { app: 'basic.js', env: quiet })).ready();
  let spins = true;
  const spinning = server.get('/spin?ms=3000').then(() => {
    spins = false;
  });
  const took: number[] = [];
  while (spins) {
    const from = performance.now();
    assert.equal((await status(server)).workers.length, 2);
    took.push(performance.now() - from);
  }
  await spinning;
  const first = took.findIndex((ms) => ms > 200);
  // 250 ms of patience, and what a loaded machine adds.
  assert.ok(first >= 0 && Number(took[first]) < 2_000, `${took}`);
  // The last may be answered as the worker comes back.
  const quick = took.slice(first + 1, -1).filter((ms) => ms < 200);
  assert.ok(quick.length > 2, `it is not waited for again: ${took}`);
});

test('the page and its files: types, policy, and nothing else', async (t) => {
  const server = await (await start(t, { app: 'basic.js', env: quiet })).ready();
  const page = await server.admin('/');
  assert.equal(page.status, 200);
  assert.equal(page.headers['content-type'], 'text/html; charset=utf-8');
  assert.match(page.body, /^<!doctype html>/);
  assert.doesNotMatch(
    page.body,
    /https?:\/\/|<style|style=|<script>| on[a-z]+=/,
    'nothing inline, nothing from elsewhere',
  );
  const policy = String(page.headers['content-security-policy']).split('; ');
  for (const rule of ["default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'"]) {
    assert.ok(policy.includes(rule), rule);
  }
  assert.ok(!policy.some((rule) => /unsafe|https?:|\*/.test(rule)), `${policy}`);

  const types: Record<string, string> = {
    css: 'text/css; charset=utf-8',
    js: 'text/javascript; charset=utf-8',
    svg: 'image/svg+xml',
  };
  const directory = new URL('../../dist/admin/page/', import.meta.url);
  const files = readdirSync(directory).filter((name) => name !== 'page.html');
  assert.ok(files.includes('main.js') && files.includes('page.css'));
  for (const name of files) {
    const file = await server.admin(`/page/${name}`);
    assert.equal(file.status, 200, name);
    assert.equal(file.headers['content-type'], types[name.replace(/^.*\./, '')], name);
    assert.equal(file.body, readFileSync(new URL(name, directory), 'utf8'));
  }
  for (const path of ['/', '/status', '/page/main.js', '/readyz', '/nowhere']) {
    const { headers } = await server.admin(path);
    assert.equal(headers['x-content-type-options'], 'nosniff', path);
    assert.equal(headers['cache-control'], 'no-store', path);
    assert.equal(headers['access-control-allow-origin'], undefined, 'no other page may read it');
  }
  for (const path of [
    '/page/',
    '/page/none.js',
    '/page/page.html',
    '/page/../admin.js',
    '/page/%2e%2e/admin.js',
    '/page/..%2fadmin.js',
    '//',
    '/page/main.js/',
  ]) {
    assert.equal((await server.admin(path)).status, 404, path);
  }
});

test('the npm package has the page, and not its sources', () => {
  const packed = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts', '--loglevel=error'], {
    cwd: new URL('../../', import.meta.url),
    encoding: 'utf8',
  });
  const paths = (JSON.stringify(JSON.parse(packed)).match(/"path":"[^"]+"/g) ?? []).map((path) => path.slice(8, -1));
  for (const name of ['page.html', 'page.css', 'icon.svg', 'main.js', 'chart.js']) {
    assert.ok(paths.includes(`dist/admin/page/${name}`), name);
  }
  assert.deepEqual(
    paths.filter((path) => path.endsWith('.png') || /^src|page\/.*\.ts$/.test(path)),
    [],
  );
});

test('the admin address is for reading alone', async (t) => {
  const server = await (await start(t, { app: 'basic.js', env: quiet })).ready();
  const ask = (method: string, path: string) => request({ host: '127.0.0.1', port: server.adminPort, method, path });
  for (const path of ['/', '/status', '/page/main.js']) {
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
      const { status, headers } = await ask(method, path);
      assert.deepEqual([status, headers.allow], [405, 'GET, HEAD'], `${method} ${path}`);
    }
    const [get, head] = [await ask('GET', path), await ask('HEAD', path)];
    assert.equal(head.status, 200);
    assert.equal(head.body, '');
    assert.equal(head.headers['content-type'], get.headers['content-type']);
  }
});

test('who looks costs the arbiter no memory', async (t) => {
  const server = await (await start(t, { app: 'basic.js', env: quiet })).ready();
  const resident = () => Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))?.[1]);
  const look = async (times: number) => {
    for (let i = 0; i < times; i++) {
      for (const path of ['/', '/page/page.css', '/page/main.js', '/page/chart.js', '/status'])
        await server.admin(path);
    }
  };
  await look(60); // the first ones load code and grow the heap to its working size
  const before = resident();
  await look(60);
  const grown = resident() - before;
  assert.ok(grown < 6_000, `grew by ${grown} kB from ${before} kB`);
});
