/** TSUNICORN_STICKY=ip on the real kernel: the same address reaches the same slot, whatever happens to the workers. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { stickyProgram } from '../../src/platform/sticky-filter.ts';
import { packetFrom, runFilter } from '../support/classic-bpf.ts';
import { freePort, request, start, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const skip = process.platform !== 'linux' && 'SO_REUSEPORT programs are for Linux';
const NATIVE = fileURLToPath(new URL('../../dist/platform/native/tsunicorn.node', import.meta.url));
const WORKERS = 4;
const CLIENTS = Array.from({ length: 64 }, (_, i) => `127.0.${i}.${(i * 37) % 250 || 1}`);

const expected = (slots: number): number[] =>
  CLIENTS.map((address) => runFilter(stickyProgram(slots), packetFrom(address)));

async function started(t: TestContext, env: Record<string, string> = {}): Promise<TestServer> {
  const settings = { TSUNICORN_STICKY: 'ip', TSUNICORN_WORKERS: String(WORKERS), BOOT_STEP_MS: '50', ...env };
  return (await start(t, { app: 'slot.mjs', env: settings })).ready();
}

async function answerTo(server: TestServer, localAddress: string): Promise<{ slot: number; pid: number }> {
  return JSON.parse((await server.get('/', { localAddress })).body);
}

/** The slot that each client's new connection reaches. */
async function slotsOf(server: TestServer): Promise<number[]> {
  const slots: number[] = [];
  for (const address of CLIENTS) slots.push((await answerTo(server, address)).slot);
  return slots;
}

/** All of `slots` have a worker of their own, without one that drains. */
const settled = (server: TestServer, slots: number) =>
  waitFor(`${slots} workers`, async () => {
    const { workers } = JSON.parse((await server.admin('/status')).body);
    return workers.length === slots && workers.every(({ state }: { state: string }) => state === 'ready');
  });

test('an address keeps its slot over HUP, SIGKILL, and TTIN then TTOU', { skip }, async (t) => {
  const server = await started(t);
  assert.equal(server.logged('sticky: client addresses are spread over 4 slots').length, 1);
  assert.deepEqual(await slotsOf(server), expected(WORKERS));
  assert.deepEqual(await slotsOf(server), expected(WORKERS));
  assert.equal(new Set(expected(WORKERS)).size, WORKERS);

  server.signal('SIGHUP');
  await server.untilLogged('worker is ready', 2 * WORKERS);
  await settled(server, WORKERS);
  assert.deepEqual(await slotsOf(server), expected(WORKERS));

  const [client = ''] = CLIENTS;
  const victim = await answerTo(server, client);
  process.kill(victim.pid, 'SIGKILL');
  await settled(server, WORKERS);
  await waitFor('the slot has a worker of its own', async () => (await answerTo(server, client)).slot === victim.slot);
  assert.deepEqual(await slotsOf(server), expected(WORKERS));

  server.signal('SIGTTIN');
  await server.untilLogged('spread over 5 slots');
  await settled(server, WORKERS + 1);
  assert.deepEqual(await slotsOf(server), expected(WORKERS + 1));
  const moved = expected(WORKERS).filter((slot, i) => slot !== expected(WORKERS + 1)[i]).length;
  assert.ok(moved > 0 && moved < CLIENTS.length / 2, `${moved} moved`);

  server.signal('SIGTTOU');
  await server.untilLogged('spread over 4 slots', 2);
  await settled(server, WORKERS);
  assert.deepEqual(await slotsOf(server), expected(WORKERS));
  assert.equal(await server.stop(), 0);
});

test('off by default: connections of one address reach all workers', { skip }, async (t) => {
  const server = await started(t, { TSUNICORN_STICKY: 'off' });
  const seen = new Set<number>();
  await waitFor('an answer from each slot', async () => {
    seen.add((await answerTo(server, '127.0.0.1')).slot);
    return seen.size === WORKERS;
  });
});

test('a slot without a worker is served by a neighbour', { skip }, async (t) => {
  const server = await started(t, { BOOT_STEP_MS: '0' });
  const victim = await answerTo(server, '127.0.0.1');
  process.kill(victim.pid, 'SIGSTOP');
  process.kill(victim.pid, 'SIGKILL');
  const { slot } = await answerTo(server, '127.0.0.1');
  assert.ok(slot >= 0);
  await waitFor('its own worker is back', async () => (await answerTo(server, '127.0.0.1')).slot === victim.slot);
});

test('a connection that a neighbour accepted leads back to the slot once it has a worker', { skip }, async (t) => {
  const server = await started(t, { BOOT_STEP_MS: '0' });
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  const kept = async () => {
    const { body, headers } = await server.get('/', { agent });
    return { ...JSON.parse(body), connection: headers.connection };
  };
  const victim = await answerTo(server, '127.0.0.1');
  process.kill(victim.pid, 'SIGSTOP');
  process.kill(victim.pid, 'SIGKILL');
  const neighbour = await kept();
  assert.notEqual(neighbour.slot, victim.slot);
  await waitFor('its own worker is back', async () => (await answerTo(server, '127.0.0.1')).slot === victim.slot);
  let last = await kept();
  for (; last.connection !== 'close'; last = await kept()) assert.equal(last.pid, neighbour.pid);
  assert.equal(last.pid, neighbour.pid);
  assert.equal((await kept()).slot, victim.slot);
});

test('the first worker that is ready answers every client, whatever its slot', { skip }, async (t) => {
  const env = { TSUNICORN_STICKY: 'ip', TSUNICORN_WORKERS: String(WORKERS), BOOT_STEP_MS: '1000' };
  const server = await start(t, { app: 'slot.mjs', env });
  await server.untilLogged('listening on');
  const answers = await Promise.all(CLIENTS.map((address) => answerTo(server, address)));
  assert.ok(server.logged('worker is ready').length < WORKERS);
  assert.equal(answers.length, CLIENTS.length);
});

test('no connection is lost while slots come and go', { skip }, async (t) => {
  const server = await started(t, { BOOT_STEP_MS: '0', TSUNICORN_WORKERS: '2' });
  let over = false;
  let answered = 0;
  const clients = CLIENTS.slice(0, 8).map(async (address) => {
    while (!over) {
      await answerTo(server, address);
      answered++;
    }
  });
  for (let round = 1; round <= 3; round++) {
    for (const signal of ['SIGTTIN', 'SIGTTIN', 'SIGTTOU', 'SIGTTOU'] as const) {
      const before = server.logged('sticky:').length;
      server.signal(signal);
      await server.untilLogged('sticky:', before + 1);
    }
  }
  over = true;
  await Promise.all(clients);
  assert.ok(answered > 100, `${answered}`);
  assert.equal(await server.stop(), 0);
});

/** Binds, sticks and accepts as arbiter and workers do, and connects from each address; prints a slot for each. */
const IN_NETWORK = `
import net from 'node:net';
import { Listeners } from '${new URL('../../dist/platform/sockets.js', import.meta.url).href}';
import { listenOnHandle } from '${new URL('../../dist/platform/socket-handle.js', import.meta.url).href}';
import { loadNative } from '${new URL('../../dist/platform/native/native.js', import.meta.url).href}';
const [host, slots, ...addresses] = process.argv.slice(2);
const { native } = loadNative();
const bound = new Listeners({ reusePort: true, socketMode: 0o666, sticky: { native, backlog: 64 } });
await bound.bind([{ kind: 'tcp', host, port: 0 }], Number(slots));
if (bound.stick(Number(slots)) !== 0) throw new Error('the kernel refuses');
for (const slot of [2, 0, 3, 1]) {
  const server = net.createServer((socket) => socket.on('error', () => {}).end(String(slot)));
  listenOnHandle(server, bound.get('0/' + slot).handle, 64);
}
const [port] = bound.ports;
const found = [];
for (const localAddress of addresses) {
  let text = '';
  const to = localAddress.includes(':') ? '::1' : '127.0.0.1';
  for await (const chunk of net.connect({ port, host: to, localAddress }).setEncoding('utf8')) text += chunk;
  found.push(Number(text));
}
console.log(JSON.stringify(found));
process.exit();
`;

/** A network of its own in which each address of 2001:db8::/32 is the machine's. */
function inNetwork(t: TestContext, host: string, addresses: readonly string[]): number[] | undefined {
  const script = join(process.env.TMPDIR ?? '/tmp', `tsunicorn-sticky-${process.pid}.mjs`);
  writeFileSync(script, IN_NETWORK);
  const network =
    'ip link set lo up && ip -6 route add local 2001:db8::/32 dev lo && echo 1 >/proc/sys/net/ipv6/ip_nonlocal_bind';
  const command = ['unshare', '-rn', 'sh', '-c', `${network} || exit 99; exec "$@"`, 'sh', process.execPath, script];
  const [program = '', ...args] = [...command, host, String(WORKERS), ...addresses];
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', timeout: 60_000 });
  if (status === 99 || status === null || /unshare failed|not permitted/.test(stderr)) {
    t.skip(`no network of its own: ${stderr}`);
    return undefined;
  }
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout);
}

test('IPv6 by its /64, and IPv4 on a dual-stack socket as on IPv4', { skip }, (t) => {
  const homes = Array.from({ length: 40 }, (_, i) => `2001:db8:0:${(i + 1).toString(16)}`);
  const addresses = [
    ...homes.map((home) => `${home}:0:0:0:1`),
    ...homes.map((home, i) => `${home}:${(i * 977).toString(16)}:abcd:1:ffff`),
    ...CLIENTS,
  ];
  const found = inNetwork(t, '::', addresses);
  if (!found) return;
  assert.deepEqual(
    found,
    addresses.map((address) => runFilter(stickyProgram(WORKERS), packetFrom(address))),
  );
  assert.deepEqual(found.slice(0, homes.length), found.slice(homes.length, 2 * homes.length));
  assert.equal(new Set(found.slice(0, homes.length)).size, WORKERS);
});

test('what cannot be sticky by its settings is a configuration error', { skip }, async (t) => {
  const rows: [env: Record<string, string>, must: RegExp][] = [
    [{ TSUNICORN_REUSE_PORT: 'false' }, /TSUNICORN_STICKY=ip: must be off with TSUNICORN_REUSE_PORT \(false\)/],
    [{ TSUNICORN_WORKER_CLASS: 'sync' }, /must be off with TSUNICORN_WORKER_CLASS \(sync\)/],
    [{ TSUNICORN_WORKER_CONNECTIONS: '9' }, /must be off with TSUNICORN_WORKER_CONNECTIONS \(9\)/],
    [{ TSUNICORN_BIND: 'unix:a-{slot}.sock,fd://3' }, /must be off with TSUNICORN_BIND .*no TCP address.*NGINX_STICKY/],
  ];
  for (const [env, must] of rows) {
    const server = await start(t, { app: 'slot.mjs', env: { TSUNICORN_STICKY: 'ip', ...env } });
    assert.equal((await server.exited).code, 78);
    assert.match(server.stderr, must);
  }
});

test('what the start cannot make sticky gets one warning, and is served all the same', { skip }, async (t) => {
  const shared = await start(t, {
    app: 'slot.mjs',
    env: { TSUNICORN_STICKY: 'ip', TSUNICORN_BIND: `127.0.0.1:${await freePort()},unix:app.sock` },
  });
  await shared.ready();
  const [line, ...more] = shared.logged('TSUNICORN_STICKY=ip');
  assert.match(line?.msg ?? '', /^TSUNICORN_STICKY=ip does not cover unix:.*app\.sock, which the workers share/);
  assert.deepEqual(more, []);
  assert.equal(shared.logged('sticky: client addresses').length, 1);
  const answer = await request({ socketPath: join(shared.directory, 'app.sock'), path: '/' });
  assert.equal(answer.status, 200);

  const wrapper = ['unshare', '--mount', 'sh', '-c', 'mount --bind /dev/null "$0" && exec "$@"', NATIVE];
  const env = { TSUNICORN_STICKY: 'ip' };
  const withoutNative = await start(t, { app: 'slot.mjs', env, ...(process.getuid?.() === 0 ? { wrapper } : {}) });
  await withoutNative.ready();
  if (process.getuid?.() !== 0) return;
  assert.match(
    withoutNative.logged('TSUNICORN_STICKY').map(({ level, msg }) => `${level} ${msg}`)[0] ?? '',
    /^warn TSUNICORN_STICKY=ip has no effect: the native part is missing: /,
  );
  assert.equal((await withoutNative.get('/')).status, 200);
});
