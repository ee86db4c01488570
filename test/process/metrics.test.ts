import assert from 'node:assert/strict';
import net from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Load } from '../support/load.ts';
import { type Scrape, scrape, total, Watch } from '../support/scrapes.ts';
import { isRunning, request, start, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const quiet = { TSUNICORN_ACCESS_LOG: 'off' };
const ANSWERED = /^tsunicorn_http_requests_total\{method="GET",code="200"\}/;

test('nothing is lost and nothing falls through reloads and another number of workers', async (t) => {
  const server = await (await start(t, { app: 'metrics/app.mjs', env: quiet })).ready();
  const watch = new Watch(server);
  const load = new Load(t, { port: server.port, clients: 8, kind: 'short' });
  for (const [signal, ready] of [
    ['SIGHUP', 4],
    ['SIGTTIN', 5],
    ['SIGTTOU', 5],
    ['SIGHUP', 7],
  ] as const) {
    const done = load.result.ok;
    server.signal(signal);
    await server.untilLogged('is ready', ready);
    await waitFor('the load goes on', () => load.result.ok > done + 200);
  }
  await server.untilLogged('worker ended', 5);
  const { ok, failures } = await load.stop();
  assert.deepEqual(failures, {});
  const last = await watch.stop();
  assert.deepEqual(watch.falls, []);
  assert.ok(watch.count > 10, String(watch.count));
  assert.equal(total(last, ANSWERED), ok);
  assert.equal(total(last, /^tsunicorn_http_request_duration_seconds_count/), ok);
  assert.equal(total(last, /^shop_orders_total\{kind="usual"\}/), ok);
  assert.equal(total(last, /^shop_latency_seconds_bucket\{le="1"\}/), ok);
  assert.equal(total(last, /^tsunicorn_worker_restarts_total\{reason="reload"\}/), 4);
  assert.equal(total(last, /^tsunicorn_worker_restarts_total\{reason="resize"\}/), 1);
  assert.ok(
    total(last, /^tsunicorn_worker_cpu_seconds_total\{worker="2"\}/) > 0,
    'the surplus slot keeps what it used',
  );
  assert.equal(last.series['tsunicorn_connections{worker="2"}'], undefined);
  assert.equal(await server.stop(), 0);
});

test('a SIGKILLed worker takes with it only what came after its last report', async (t) => {
  const server = await (await start(t, { app: 'metrics/app.mjs', env: quiet })).ready();
  const watch = new Watch(server);
  for (let kill = 1; kill <= 3; kill++) {
    const answers = await Promise.all(Array.from({ length: 50 }, () => server.get('/?kind=kept')));
    assert.ok(answers.every(({ status }) => status === 200));
    await waitFor('all are reported', async () => total(await scrape(server), ANSWERED) === 50 * kill);
    const pids = server.workerPids();
    for (const pid of pids) process.kill(pid, 'SIGKILL');
    await waitFor('they are gone', () => !pids.some(isRunning));
    await server.untilLogged('is ready', 2 + 2 * kill);
  }
  const last = await watch.stop();
  assert.deepEqual(watch.falls, []);
  assert.equal(total(last, ANSWERED), 150);
  assert.equal(total(last, /^shop_orders_total\{kind="kept"\}/), 150);
  assert.equal(total(last, /^tsunicorn_worker_restarts_total\{reason="crash"\}/), 6);
  assert.equal(await server.stop(), 0);
});

test('counts are reported without a scrape, also those of the app', async (t) => {
  const server = await (await start(t, { app: 'metrics/app.mjs', env: { ...quiet, TSUNICORN_WORKERS: '1' } })).ready();
  const [pid = 0] = server.workerPids();
  for (let i = 0; i < 10; i++) await server.get('/');
  await sleep(2_500); // two heartbeats, and no scrape: that nothing else happens is the point
  process.kill(pid, 'SIGKILL');
  await server.untilLogged('is ready', 2);
  const after = await scrape(server);
  assert.equal(total(after, ANSWERED), 10);
  assert.equal(total(after, /^shop_orders_total/), 10);
});

test('a stopped worker delays one scrape by 250 ms and fails none', async (t) => {
  const server = await (await start(t, { app: 'basic.js', env: quiet })).ready();
  await waitFor('both have reported', async () => total(await scrape(server), /^tsunicorn_worker_resident/) > 80e6);
  const [stopped = 0] = server.workerPids();
  process.kill(stopped, 'SIGSTOP');
  t.after(() => isRunning(stopped) && process.kill(stopped, 'SIGCONT'));
  // It may have sent something just before. A busy machine delays scrapes too, but not one after the other.
  const scrapes: Scrape[] = [];
  const next = async (): Promise<number> => {
    scrapes.push(await scrape(server));
    return scrapes.at(-1)?.ms ?? 0;
  };
  await waitFor('a scrape waits for it', async () => (await next()) >= 250);
  await waitFor('a later one does not', async () => (await next()) < 250);
  for (const each of scrapes) {
    assert.ok(total(each, /^tsunicorn_worker_resident_memory_bytes\{worker="[01]"\}/) > 80e6, 'as it last was');
  }
  process.kill(stopped, 'SIGCONT');
  assert.equal(await server.stop(), 0);
});

test('stopped workers keep no other from being asked', async (t) => {
  const slots = [0, 1, 2, 3];
  const env = { ...quiet, TSUNICORN_WORKERS: `${slots.length}`, TSUNICORN_BIND: 'unix:app-{slot}.sock' };
  // With one CPU two are asked at a time.
  const server = await (await start(t, { app: 'basic.js', env, wrapper: ['taskset', '-c', '0'] })).ready();
  let sent = 0;
  const pidOf = async (slot: number): Promise<number> => {
    sent++;
    return Number((await request({ socketPath: join(server.directory, `app-${slot}.sock`), path: '/pid' })).body);
  };
  const pids = await waitFor('a worker for each slot', async () => {
    const found = await Promise.all(slots.map(pidOf));
    return new Set(found).size === slots.length && found;
  });
  await waitFor('all is reported', async () => total(await scrape(server), ANSWERED) === sent);
  const stopped = pids.slice(0, 2);
  t.after(() => {
    for (const pid of stopped) if (isRunning(pid)) process.kill(pid, 'SIGCONT');
  });
  let seen: { ms: number; missing: number } | undefined;
  // A busy machine may keep an answer from coming in time, but not again and again.
  await waitFor(
    'a scrape waits for the stopped ones, and has what the others say',
    async () => {
      for (const pid of stopped) process.kill(pid, 'SIGSTOP');
      await Promise.all(slots.slice(2).map(pidOf));
      const found = await scrape(server);
      seen = { ms: found.ms, missing: sent - total(found, ANSWERED) };
      for (const pid of stopped) process.kill(pid, 'SIGCONT');
      await Promise.all(slots.map(pidOf)); // also as a sign of life, or the next scrape would not wait for them
      await waitFor('all is reported', async () => total(await scrape(server), ANSWERED) === sent);
      return seen.missing === 0 && seen.ms >= 250 && seen.ms < 500;
    },
    { state: () => seen },
  );
  assert.equal(await server.stop(), 0);
});

test("the app's own metrics, required late and with names of ours", async (t) => {
  const server = await (await start(t, { app: 'metrics/app.cjs', env: quiet })).ready();
  assert.doesNotMatch((await scrape(server)).text, /shop_/);
  for (let i = 0; i < 20; i++) await server.get('/');
  await waitFor('all are reported', async () => (await server.metric('shop_orders_total{team="shop"}')) >= 20);
  const { series, text } = await scrape(server);
  assert.equal(series['shop_orders_total{team="shop"}'], 20);
  assert.equal(text.match(/^# TYPE tsunicorn_connections /gm)?.length, 1);
  assert.ok((series['tsunicorn_connections{worker="0"}'] ?? 99) < 20);
  const { level, msg } = await server.untilLogged('left out of /metrics');
  assert.match(`${level} ${msg}`, /^warn .*tsunicorn_connections .*rename the app's/);
  assert.equal(await server.stop(), 0);
  assert.equal(server.logged('left out of /metrics').length, 1, 'once, not for each worker');
});

test("the app's own metrics, imported, by their aggregators", async (t) => {
  const server = await (await start(t, { app: 'metrics/app.mjs', env: quiet })).ready();
  const pids = server.workerPids();
  const { series } = await scrape(server);
  assert.equal(series.shop_workers, 2);
  assert.equal(series.shop_largest_pid, Math.max(...pids));
  assert.equal(series.nodejs_version_info, undefined);
  assert.ok(
    Object.keys(series).some((name) => name.startsWith('nodejs_version_info{')),
    'aggregator first',
  );
  assert.equal(await server.stop(), 0);
  assert.equal(server.logged('left out of /metrics').length, 0);
});

test("prom-client's default metrics of an app, over two workers and a replacement", async (t) => {
  const server = await (await start(t, { app: 'metrics/app.mjs', env: quiet })).ready();
  const ours = (found: Scrape) => total(found, /^tsunicorn_worker_resident_memory_bytes/);
  const watch = new Watch(server, 20);
  const before = await waitFor('both have sampled their event loop', async () => {
    const found = await scrape(server);
    assertValid(found.text);
    return (found.series.nodejs_eventloop_lag_mean_seconds ?? 0) > 0 && found; // NaN at first
  });
  const both = before.series.process_resident_memory_bytes ?? 0;
  assert.ok(both > 0.7 * ours(before) && both < 1.3 * ours(before), `${both}: the sum of both workers`);
  assert.equal(before.series.process_start_time_seconds, undefined, 'prom-client says "omit"');
  const { nodejs_eventloop_lag_min_seconds: min = 0, nodejs_eventloop_lag_max_seconds: max = 0 } = before.series;
  const { nodejs_eventloop_lag_mean_seconds: mean = 0 } = before.series;
  assert.ok(min > 0 && min <= mean && mean <= max, `${min} ≤ ${mean} ≤ ${max}`);
  const cpu = before.series.process_cpu_seconds_total ?? 0;
  assert.ok(cpu > 0);

  const [killed = 0] = server.workerPids();
  process.kill(killed, 'SIGKILL');
  await server.untilLogged('is ready', 3);
  const after = await waitFor('the new worker is in the sums', async () => {
    const found = await scrape(server);
    return (found.series.process_cpu_seconds_total ?? 0) > cpu && (found.series.shop_workers ?? 0) === 2 && found;
  });
  assertValid(after.text);
  const resident = after.series.process_resident_memory_bytes ?? 0;
  assert.ok(resident > 0.7 * ours(after) && resident < 1.3 * ours(after), `${resident}: without the dead worker`);
  await watch.stop();
  assert.deepEqual(watch.falls, []);

  const accept = 'application/openmetrics-text;version=1.0.0';
  const open = await request({ host: '127.0.0.1', port: server.adminPort, path: '/metrics', headers: { accept } });
  assertValid(open.body);
  assert.match(open.body, /^# TYPE process_cpu_seconds counter\nprocess_cpu_seconds_total \d/m);
  assert.equal(await server.stop(), 0);
  assert.equal(server.logged('left out of /metrics').length, 0);
});

/** Each family once, with its header before its samples, and each series once. */
function assertValid(text: string): void {
  const seen = new Set<string>();
  let family = '';
  for (const line of text.trimEnd().split('\n')) {
    if (line === '# EOF') continue;
    const [, type] = /^# TYPE (\S+) (?:counter|gauge|histogram|summary)$/.exec(line) ?? [];
    const key = type ?? line.slice(0, line.lastIndexOf(' '));
    if (line.startsWith('# HELP ')) continue;
    if (type !== undefined) family = type;
    else assert.match(line, /^[a-z_\d]+(\{([a-z]+="[^"]*",?)+\})? (-?[\d.]+(e[+-]\d+)?|Nan|[+-]Inf)$/i);
    assert.ok(key.startsWith(family), `${line} in ${family}`);
    assert.ok(!seen.has(`${type === undefined} ${key}`), `${key} twice`);
    seen.add(`${type === undefined} ${key}`);
  }
}

test('TSUNICORN_APP_METRICS=false leaves them out', async (t) => {
  const env = { ...quiet, TSUNICORN_APP_METRICS: 'false' };
  const server = await (await start(t, { app: 'metrics/app.mjs', env })).ready();
  await server.get('/');
  assert.doesNotMatch((await scrape(server)).text, /shop_/);
  assert.equal(await server.stop(), 0);
});

test('OpenMetrics, where it is asked for', async (t) => {
  const server = await (await start(t, { app: 'metrics/app.mjs', env: quiet })).ready();
  await server.get('/');
  // A scrape does not wait for a worker that has no CPU: on a busy machine it may miss the first report.
  await waitFor('the report', async () => (await server.metric('shop_orders_total{kind="usual"}')) === 1);
  const ask = (accept: string) =>
    request({ host: '127.0.0.1', port: server.adminPort, path: '/metrics', headers: { accept } });
  const open = await ask('application/openmetrics-text;version=1.0.0,text/plain;q=0.5');
  assert.equal(open.headers['content-type'], 'application/openmetrics-text; version=1.0.0; charset=utf-8');
  assert.match(open.body, /^# TYPE tsunicorn_http_requests counter\ntsunicorn_http_requests_total\{/m);
  assert.match(open.body, /^# TYPE shop_orders counter\nshop_orders_total\{kind="usual"\} 1\n/m);
  assert.ok(open.body.endsWith('\n# EOF\n'));
  const text = await ask('*/*');
  assert.equal(text.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8');
  assert.match(text.body, /^# TYPE tsunicorn_http_requests_total counter$/m);
  assert.match(text.body, /^# TYPE shop_orders_total counter$/m);
});

test('bytes are those that the clients got', async (t) => {
  const server = await (await start(t, { app: 'basic.js', env: quiet })).ready();
  let received = 0;
  const kept = net.connect(server.port, '127.0.0.1').on('data', (chunk) => {
    received += chunk.length;
  });
  t.after(() => kept.destroy());
  kept.write('GET / HTTP/1.1\r\nHost: t\r\n\r\nGET /pid HTTP/1.1\r\nHost: t\r\n\r\n');
  await waitFor('two answers', () => received > 200);
  const raw = async () => {
    const socket = net.connect(server.port, '127.0.0.1');
    socket.end('GET /nowhere HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n');
    for await (const chunk of socket) received += (chunk as Buffer).length;
  };
  for (let i = 0; i < 5; i++) await raw();
  const counted = async () => total(await scrape(server), /^tsunicorn_http_response_bytes_total/);
  await waitFor('all are reported', async () => (await counted()) >= received);
  assert.equal(await counted(), received);
  kept.destroy();
  assert.equal(await server.stop(), 0);
});

test('bytes after an upgrade are no response', async (t) => {
  const server = await (await start(t, { app: 'echo.js', env: quiet })).ready();
  let received = '';
  const socket = net.connect(server.port, '127.0.0.1').on('data', (chunk) => {
    received += chunk;
  });
  t.after(() => socket.destroy());
  const bytes = async () => total(await scrape(server), /^tsunicorn_http_response_bytes_total/);
  socket.write('GET / HTTP/1.1\r\nHost: t\r\n\r\n');
  await waitFor('an answer', () => received.endsWith('hello'));
  const answer = received.length;
  assert.equal(await bytes(), answer);
  socket.write('GET / HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
  await waitFor('the upgrade', () => received.includes('101 Switching Protocols'));
  socket.write('x'.repeat(100_000));
  await waitFor('the echo', () => received.length > 100_000);
  assert.equal(await bytes(), answer);
  socket.destroy();
  await waitFor('it is closed', async () => total(await scrape(server), /^tsunicorn_connections/) === 0);
  assert.equal(await bytes(), answer);
  assert.equal(await server.stop(), 0);
});

test('an app that ends its process takes no request out of the count', async (t) => {
  const server = await (await start(t, { app: 'metrics/app.mjs', env: quiet })).ready();
  for (let i = 1; i <= 3; i++) {
    assert.equal((await server.get('/exit')).status, 200);
    await server.untilLogged('worker ended: exit code 9', i);
    assert.equal(total(await scrape(server), ANSWERED), i);
    await server.untilLogged('is ready', 2 + i);
  }
  assert.equal(await server.stop(), 0);
});

/** Stops all workers and opens so many connections: no worker accepts them. */
async function queueUp(t: { after(fn: () => unknown): void }, server: TestServer, where: net.NetConnectOpts[]) {
  const pids = server.workerPids();
  for (const pid of pids) process.kill(pid, 'SIGSTOP');
  t.after(() => pids.filter(isRunning).map((pid) => process.kill(pid, 'SIGCONT')));
  for (const to of where) {
    const socket = net.connect(to).on('error', () => {}); // reset when its server ends
    t.after(() => socket.destroy());
    await new Promise((resolve) => socket.once('connect', resolve));
  }
}

test('the accept queues of TCP and unix sockets', async (t) => {
  const server = await start(t, { app: 'basic.js', env: quiet });
  await server.ready();
  await queueUp(
    t,
    server,
    Array.from({ length: 7 }, () => ({ port: server.port, host: '127.0.0.1' })),
  );
  const tcp = await scrape(server);
  assert.equal(
    total(tcp, new RegExp(`^tsunicorn_accept_queue_length\\{listener="127.0.0.1:${server.port}/[01]"\\}`)),
    7,
  );

  const directory = server.directory;
  const bind = `unix:${join(directory, 'shared.sock')},unix:${join(directory, 's-{slot}.sock')}`;
  const unix = await start(t, { app: 'basic.js', env: { ...quiet, TSUNICORN_BIND: bind } });
  await unix.ready();
  await queueUp(t, unix, [
    ...Array.from({ length: 3 }, () => ({ path: join(directory, 'shared.sock') })),
    ...Array.from({ length: 2 }, () => ({ path: join(directory, 's-1.sock') })),
  ]);
  const { series } = await scrape(unix);
  const length = (name: string) => series[`tsunicorn_accept_queue_length{listener="unix:${join(directory, name)}"}`];
  assert.deepEqual(['shared.sock', 's-0.sock', 's-1.sock'].map(length), [3, 0, 2]);
});

test('a scrape is no sign of life of a worker of class sync that has a request in flight', async (t) => {
  const env = { ...quiet, TSUNICORN_WORKER_CLASS: 'sync', TSUNICORN_TIMEOUT: '1', TSUNICORN_WORKERS: '1' };
  const server = await (await start(t, { app: 'basic.js', env })).ready();
  const answer = server.get('/never').catch((error: NodeJS.ErrnoException) => error.code);
  let answered = 0;
  await waitFor('it is killed', async () => {
    if ((await scrape(server)).ms < 250) answered++;
    return server.logged('worker is killed: silent for 1 s').length === 1;
  });
  assert.ok(answered > 3, `${answered} scrapes were answered in time`);
  assert.equal(await answer, 'ECONNRESET');
  await server.untilLogged('is ready', 2);
  assert.equal(await server.stop(), 0);
});
