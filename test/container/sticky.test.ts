/** A client keeps to its worker behind nginx (NGINX_STICKY) and to its container behind HAProxy (HAPROXY_STICKY). */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { installExample } from '../apps/install.ts';
import { freePort, type RequestOptions, request, start } from '../support/server.ts';
import { SESSION_UNKNOWN, SocketCrowd } from '../support/socketio.ts';
import { waitFor } from '../support/wait.ts';
import { behindNginx } from './support/front.ts';
import { DIRECTORY, ROOT, skipReason } from './support/machine.ts';
import { NameServer } from './support/name-server.ts';
import { NGINX_IMAGE, tryPodman } from './support/podman.ts';

const skip = skipReason();
const CLIENTS = Array.from({ length: 30 }, (_, i) => `127.0.${i + 1}.1`);
const WORKERS = 4;
const env = { TSUNICORN_WORKERS: String(WORKERS) };

interface Visit {
  readonly pid: number;
  readonly cookie: string | undefined;
}

async function visit(options: RequestOptions): Promise<Visit> {
  const { status, body, headers } = await request({ host: '127.0.0.1', path: '/', ...options });
  assert.equal(status, 200, body);
  const [cookie] = headers['set-cookie'] ?? [];
  return { pid: JSON.parse(body).pid, cookie };
}

test('NGINX_STICKY=cookie: a client is given a worker, and keeps it', { skip }, async (t) => {
  const { port, app } = await behindNginx(t, { appEnv: env, nginxEnv: { NGINX_STICKY: 'cookie' } });
  const visits: { cookie: string; pid: number }[] = [];
  for (let i = 0; i < 40; i++) {
    const { cookie = '', pid } = await visit({ port });
    assert.match(cookie, /^tsunicorn_worker=[0-9a-f]{32}; Path=\/; HttpOnly; SameSite=Lax$/);
    visits.push({ cookie: cookie.split(';')[0] ?? '', pid });
  }
  assert.equal(new Set(visits.map(({ pid }) => pid)).size, WORKERS);
  for (const { cookie, pid } of [...visits, ...visits]) {
    assert.deepEqual(await visit({ port, headers: { cookie } }), { pid, cookie: undefined });
  }
  const forged = await visit({ port, headers: { cookie: 'tsunicorn_worker="x y' } });
  assert.match(forged.cookie ?? '', /^tsunicorn_worker=[0-9a-f]{32};/);

  // Its worker dies: others answer, and the cookie leads to the same slot, which has a new worker.
  const [first] = visits;
  assert.ok(first);
  const sameSlot = visits.filter(({ pid }) => pid === first.pid);
  await app.exec('sh', '-c', `kill -9 ${first.pid}`);
  const answerTo = (cookie: string) => visit({ port, headers: { cookie } });
  // A neighbour's connections that nginx has kept each answer once more.
  await waitFor('the slot has a worker of its own', async () => {
    const answers = await Promise.all(sameSlot.map(({ cookie }) => answerTo(cookie)));
    const pids = new Set(answers.map(({ pid }) => pid));
    return pids.size === 1 && !visits.some(({ pid }) => pids.has(pid));
  });
  for (const { cookie, pid } of visits) if (pid !== first.pid) assert.equal((await answerTo(cookie)).pid, pid);
});

test('NGINX_STICKY=ip: an address keeps its worker', { skip }, async (t) => {
  const sticky = await behindNginx(t, { appEnv: env, nginxEnv: { NGINX_STICKY: 'ip' } });
  const first = new Map<string, number>();
  for (let round = 0; round < 3; round++) {
    for (const localAddress of CLIENTS) {
      const { pid, cookie } = await visit({ port: sticky.port, localAddress });
      assert.equal(pid, first.get(localAddress) ?? pid);
      assert.equal(cookie, undefined);
      first.set(localAddress, pid);
    }
  }
  assert.equal(new Set(first.values()).size, WORKERS);
});

test('NGINX_STICKY is off by default, and nothing else is taken', { skip }, async (t) => {
  const { port } = await behindNginx(t, { appEnv: env });
  const pids = new Set<number>();
  await waitFor('several workers answer one client', async () => {
    const visits = await Promise.all([visit({ port }), visit({ port }), visit({ port })]);
    for (const { pid, cookie } of visits) {
      pids.add(pid);
      assert.equal(cookie, undefined);
    }
    return pids.size > 1;
  });
  const args = ['run', '--rm', '--pull=never', '--network=none', '--tmpfs=/tmp', '--env=NGINX_STICKY=yes', NGINX_IMAGE];
  const { code, stderr } = await tryPodman(args);
  assert.equal(code, 78);
  assert.match(stderr, /NGINX_STICKY=yes: must be off, ip or cookie/);
});

for (const mode of ['ip', 'cookie', 'off'] as const) {
  test(`200 Socket.IO clients through nginx, NGINX_STICKY=${mode}`, { skip }, async (t) => {
    const home = await installExample({ directory: 'socketio' }, false);
    const appArgs = [`--volume=${home}:/socketio:ro`];
    const appEnv = { ...env, TSUNICORN_CHDIR: '/socketio' };
    const { port, app } = await behindNginx(t, { appEnv, appArgs, nginxEnv: { NGINX_STICKY: mode } });
    const cookies: string[] = [];
    for (let i = 0; mode === 'cookie' && i < 200; i++) {
      cookies.push(((await visit({ port })).cookie ?? '').split(';')[0] ?? '');
    }
    const url = `http://127.0.0.1:${port}`;
    const crowd = new SocketCrowd({ home, url, clients: 200, cookie: (i) => cookies[i] });
    t.after(() => crowd.close());
    if (mode === 'off') {
      await app.untilLogged(SESSION_UNKNOWN, 50);
      return;
    }
    await crowd.connected(60);
    await crowd.answered(5, 60);
    assert.deepEqual(crowd.summary(), {});
    assert.equal((await app.logs()).includes(SESSION_UNKNOWN), false);
    assert.equal(new Set(crowd.clients.flatMap(({ pids }) => [...pids])).size, WORKERS);
  });
}

/** The installed haproxy with compose/haproxy, and two servers behind one name. */
async function behindHaproxy(t: TestContext, mode: string): Promise<number> {
  const [port, appPort, adminPort] = [await freePort(), await freePort(), await freePort()];
  const hosts = ['127.0.9.2', '127.0.9.3'];
  const names = await NameServer.start('127.0.9.53', 'app', hosts);
  t.after(() => names.stop());
  for (const host of hosts) {
    const bind = { TSUNICORN_BIND: `${host}:${appPort}`, TSUNICORN_ADMIN_BIND: `${host}:${adminPort}` };
    const server = await start(t, { app: 'basic.js', env: { TSUNICORN_WORKERS: '1', ...bind } });
    await server.untilLogged('worker is ready');
  }
  const resolvConf = join(DIRECTORY, 'sticky-resolv.conf');
  writeFileSync(resolvConf, 'nameserver 127.0.9.53\n');
  const mount = 'mount --bind "$0" /etc/resolv.conf && exec haproxy -f "$1"';
  const args = ['--mount', 'sh', '-c', mount, resolvConf, `${ROOT}compose/haproxy/haproxy.cfg`];
  const haproxy: ChildProcess = spawn('unshare', args, {
    env: {
      PATH: process.env.PATH,
      HAPROXY_STICKY: mode,
      HAPROXY_LISTEN: `127.0.0.1:${port}`,
      HAPROXY_UPSTREAM: `app:${appPort}`,
      HAPROXY_CHECK_PORT: String(adminPort),
    },
    stdio: 'ignore',
  });
  t.after(() => haproxy.kill('SIGKILL'));
  const pids = new Set<string>();
  let client = 0;
  await waitFor('HAProxy uses both', async () => {
    const localAddress = `127.0.${++client % 250}.7`;
    const answer = await request({ host: '127.0.0.1', port, path: '/pid', localAddress }).catch(() => undefined);
    if (answer?.status === 200) pids.add(answer.body);
    return pids.size === 2;
  });
  return port;
}

test('HAPROXY_STICKY=cookie: a client keeps its container', { skip }, async (t) => {
  const port = await behindHaproxy(t, 'cookie');
  const pids = new Set<string>();
  for (let i = 0; i < 20; i++) {
    const first = await request({ host: '127.0.0.1', port, path: '/pid' });
    const [cookie = ''] = first.headers['set-cookie'] ?? [];
    assert.match(cookie, /^tsunicorn_server=[0-9a-f]+; path=\/; HttpOnly; SameSite=Lax$/);
    pids.add(first.body);
    for (let round = 0; round < 3; round++) {
      const headers = { cookie: cookie.split(';')[0] ?? '' };
      assert.equal((await request({ host: '127.0.0.1', port, path: '/pid', headers })).body, first.body);
    }
  }
  assert.equal(pids.size, 2);
});

test('HAPROXY_STICKY=ip: an address keeps its container', { skip }, async (t) => {
  const port = await behindHaproxy(t, 'ip');
  for (const localAddress of CLIENTS) {
    const pids = new Set<string>();
    for (let round = 0; round < 4; round++) {
      pids.add((await request({ host: '127.0.0.1', port, path: '/pid', localAddress })).body);
    }
    assert.equal(pids.size, 1);
  }
});
