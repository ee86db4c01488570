import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Load } from '../support/load.ts';
import { HANDSHAKE } from '../support/raw.ts';
import { scrape, total } from '../support/scrapes.ts';
import { type Answer, request, start, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const MIB = 2 ** 20;
const IN_FLIGHT = 'tsunicorn_http_requests_in_flight{worker="0"}';
const RESTARTS = 'tsunicorn_worker_restarts_total{reason="rss"}';
const support = (file: string): string => fileURLToPath(new URL(`../support/${file}`, import.meta.url));

interface Limited {
  readonly server: TestServer;
  /** Ends the controller, and says what it saw. */
  readonly usage: () => Promise<{ readonly peak: number; readonly kills: number }>;
}

/** A server in a group of `mib` MiB that is empty, as the files in the folder say. */
async function startIn(t: TestContext, app: string, mib: number, env: object): Promise<[TestServer, folder: string]> {
  const folder = mkdtempSync(join(tmpdir(), 'tsunicorn-test-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, 'memory.max'), String(mib * MIB));
  writeFileSync(join(folder, 'memory.current'), '0');
  writeFileSync(join(folder, 'memory.stat'), 'inactive_file 0\nactive_file 0\nfile_mapped 0\n');
  const wrapper = [process.execPath, support('limited.ts'), folder];
  return [await start(t, { app, wrapper, env: { TSUNICORN_ACCESS_LOG: 'off', ...env } }), folder];
}

/** The same with the group kept by memory-controller.ts. */
async function startLimited(t: TestContext, app: string, mib: number, env: object): Promise<Limited> {
  const [server, folder] = await startIn(t, app, mib, env);
  const controller = spawn(process.execPath, [support('memory-controller.ts'), folder, String(server.pid)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => controller.kill('SIGKILL'));
  let said = '';
  controller.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const usage = async (): Promise<{ peak: number; kills: number }> => {
    controller.kill('SIGTERM');
    await once(controller, 'close');
    return JSON.parse(said);
  };
  return { server: await server.ready(), usage };
}

const fullLoad = (t: TestContext, port: number): Load[] =>
  (['keep-alive', 'short'] as const).map((kind) => new Load(t, { port, clients: 16, kind }));

async function losesNothing(t: TestContext, what: 'bytes' | 'objects', mib: number): Promise<void> {
  // The limit of the heap comes before that of the group, where it is the heap that fills.
  const env = { LEAK: what, TSUNICORN_WORKER_HEAP: '200MiB' };
  const { server, usage } = await startLimited(t, 'leak-fast.js', mib, env);
  const loads = fullLoad(t, server.port);
  const began = performance.now();
  await waitFor('six workers are recycled', async () => (await server.metric(RESTARTS)) >= 6, {
    seconds: 90,
    state: () => server.stderr.slice(-4000),
  });
  const results = await Promise.all(loads.map((load) => load.stop()));
  const { peak, kills } = await usage();
  t.diagnostic(JSON.stringify({ results, peak: peak / MIB, kills, ms: performance.now() - began }));
  const failures = results.map((result) => result.failures);
  assert.deepEqual(failures, [{}, {}], server.stderr.slice(-4000));
  assert.equal(kills, 0, `the peak was ${Math.round(peak / MIB)} MiB`);
  assert.deepEqual(server.logged(/worker ended: (?!exit code 0)/), []);
  const full = what === 'bytes' ? 'the memory limit is nearly reached' : 'its JavaScript heap is nearly full';
  const said = server.logged(/worker will be replaced: RSS \d+ MiB and .*, so new requests wait/);
  assert.ok(said.filter(({ msg }) => msg.includes(full)).length >= 3);
  assert.equal(await server.stop(), 0);
}

test('an app that leaks 1 MB of bytes a request at full load loses nothing', (t) => losesNothing(t, 'bytes', 512));

test('an app that leaks 1 MB of objects a request at full load loses nothing', (t) => losesNothing(t, 'objects', 1024));

test('an app that leaves garbage behind is not taken for one that leaks', async (t) => {
  // More than a worker ever has, so that only memory admission could have it replaced.
  const env = { TSUNICORN_WORKERS: '1', TSUNICORN_MAX_WORKER_RSS: '1GiB' };
  const { server, usage } = await startLimited(t, 'garbage.js', 320, env);
  const loads = fullLoad(t, server.port);
  const answered = (): number => loads.reduce((sum, { result }) => sum + result.ok, 0);
  await waitFor('so much has been answered', () => answered() >= 4_000, { seconds: 90, state: answered });
  const results = await Promise.all(loads.map((load) => load.stop()));
  const { peak, kills } = await usage();
  t.diagnostic(JSON.stringify({ results, peak: peak / MIB, kills }));
  assert.deepEqual(
    results.map(({ failures }) => failures),
    [{}, {}],
  );
  assert.deepEqual(server.logged('worker will be replaced'), []);
  assert.equal(await server.metric(RESTARTS), 0);
  assert.equal(kills, 0);
  assert.equal(await server.stop(), 0);
});

class WebSocketClient {
  readonly socket: net.Socket;
  text = '';

  constructor(t: TestContext, port: number) {
    this.socket = net.connect(port, '127.0.0.1').setEncoding('latin1');
    this.socket.on('data', (text: string) => {
      this.text += text;
    });
    t.after(() => this.socket.destroy());
  }

  shakeHands(): void {
    const fields = Object.entries({ Host: 'test', ...HANDSHAKE }).map(([name, value]) => `${name}: ${value}\r\n`);
    this.socket.write(`GET /socket HTTP/1.1\r\n${fields.join('')}\r\n`);
  }
}

test('while memory is short requests and handshakes wait in the worker, and new connections in the kernel', async (t) => {
  const [starting, folder] = await startIn(t, 'streams.js', 512, { TSUNICORN_WORKERS: '1' });
  const server = await starting.ready();
  const ask = (agent: http.Agent | false): Promise<Answer> =>
    request({ agent, host: '127.0.0.1', port: server.port, path: '/' });
  const queued = async (): Promise<number> => total(await scrape(server), /^tsunicorn_accept_queue_length/);
  // While the old worker drains no other is replaced, so the new one has to hold.
  const never = http.get({ host: '127.0.0.1', port: server.port, path: '/never' }).on('error', () => {});
  t.after(() => never.destroy());
  await waitFor('it is in flight', async () => (await server.metric(IN_FLIGHT)) === 1);
  server.signal('SIGHUP');
  await server.untilLogged('worker drains');
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  assert.equal((await ask(agent)).status, 200);
  const [webSocket, leaving] = [new WebSocketClient(t, server.port), new WebSocketClient(t, server.port)];
  for (const { socket } of [webSocket, leaving]) socket.write('GET / HTTP/1.1\r\nHost: test\r\n\r\n');
  await waitFor('both are answered', () => [webSocket, leaving].every(({ text }) => text.endsWith('hello')));

  writeFileSync(join(folder, 'memory.current'), String(512 * MIB));
  const waiting: Promise<Answer>[] = [];
  await waitFor('new connections stay with the kernel', async () => {
    if (waiting.length < 20) waiting.push(ask(false));
    return (await queued()) >= 2;
  });
  let isAnswered = false;
  const before = await server.metric(IN_FLIGHT);
  waiting.push(ask(agent).finally(() => (isAnswered = true)));
  await waitFor('the worker has the request', async () => (await server.metric(IN_FLIGHT)) > before);
  const connections = (): Promise<number> => server.metric('tsunicorn_connections{worker="0"}');
  const open = await connections();
  for (const client of [webSocket, leaving]) client.shakeHands();
  leaving.socket.destroy();
  await waitFor('who leaves costs nothing', async () => (await connections()) === open - 1);
  assert.doesNotMatch(webSocket.text, / 101 /);
  assert.equal(isAnswered, false);
  const inQueue = await queued();
  assert.ok(inQueue >= 2, `${inQueue} in the queue`);

  writeFileSync(join(folder, 'memory.current'), '0');
  for (const answer of await Promise.all(waiting)) assert.equal(answer.status, 200);
  await waitFor('the handshake is answered', () => webSocket.text.includes(' 101 '));
  webSocket.socket.resetAndDestroy();
  never.destroy();
  assert.equal(await server.stop(), 0);
});

test('a memory limit that is lowered while it serves counts at once, for the workers that run too', async (t) => {
  const env = { TSUNICORN_WORKERS: '2', TSUNICORN_RESIZE_INTERVAL: '0.3' };
  const [starting, folder] = await startIn(t, 'basic.js', 1024, env);
  const server = await starting.ready();
  // A quarter of the first limit, and all of the second.
  writeFileSync(join(folder, 'memory.current'), String(256 * MIB));
  assert.equal((await server.get('/')).status, 200);
  assert.deepEqual(server.logged('memory is low'), []);

  writeFileSync(join(folder, 'memory.max'), String(256 * MIB));
  // 0.75 × (256 − 64) ÷ 2, and 0.9 × (256 − 64) ÷ 2 + 48
  await server.untilLogged(
    /^limits changed: 2 workers: .*memory limit 256MiB .*heap limit 72MiB each; recycled above 134MiB/,
  );
  await waitFor('a worker finds that there is no room', async () => {
    assert.equal((await server.get('/')).status, 200); // no worker has grown: what waits is served
    return server.logged('memory is low, but no worker has grown since its start').length > 0;
  });
  assert.equal(await server.metric(RESTARTS), 0);

  // Who is started from now on has the new share.
  const [old = 0] = server.workerPids();
  process.kill(old, 'SIGKILL');
  await server.untilLogged('worker is ready', 3);
  const young = server.workerPids().map((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8'));
  assert.equal(young.filter((line) => line.includes('--max-old-space-size=72')).length, 1, young.join('\n'));
  assert.equal(await server.stop(), 0);
});
