/** nginx in front of the image: what it forwards, what it shields the app from, what it serves itself. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http2 from 'node:http2';
import https from 'node:https';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import tls from 'node:tls';
import { freePort, request } from '../support/server.ts';
import { behindNginx, type Front, nginx } from './support/front.ts';
import { must, skipReason } from './support/machine.ts';
import { type Cleaner, Container, later, podman } from './support/podman.ts';
import { webSocketEcho } from './support/web-socket.ts';

const skip = skipReason();

/** `t` for a whole suite. */
function suiteCleaner(): Cleaner & { undo(): Promise<void> } {
  const undone: (() => unknown)[] = [];
  return {
    after: (fn) => undone.push(fn),
    undo: async () => {
      for (const fn of undone) await fn();
    },
  };
}

/** A folder that any user may read, since containers run as others than this one. */
function folder(t: Cleaner, files: Readonly<Record<string, string>>): string {
  const path = mkdtempSync(join(tmpdir(), 'tsunicorn-front-'));
  later(t, () => rmSync(path, { recursive: true }));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(path, name, '..'), { recursive: true });
    writeFileSync(join(path, name), text);
  }
  chmodSync(path, 0o755);
  return path;
}

suite('nginx over unix sockets', { skip }, () => {
  const mine = suiteCleaner();
  let front: Front;
  let tlsPort: number;
  const get = (path: string, headers: Record<string, string> = {}) =>
    request({ host: '127.0.0.1', port: front.port, path, headers });

  before(async () => {
    tlsPort = await freePort();
    const certificate = folder(mine, {});
    await must('openssl', [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1'],
      ...['-subj', '/CN=localhost', '-keyout', join(certificate, 'tls.key'), '-out', join(certificate, 'tls.crt')],
    ]);
    chmodSync(join(certificate, 'tls.key'), 0o644);
    const files = folder(mine, { 'static/app.1a2b.js': `// ${'static '.repeat(500)}` });
    front = await behindNginx(mine, {
      nginxArgs: [`--volume=${certificate}:/etc/nginx/tls:ro`, `--volume=${files}:/srv:ro`],
      nginxEnv: { NGINX_TLS_PORT: `127.0.0.1:${tlsPort}` },
    });
  });
  after(() => mine.undo());

  test('a request reaches the app, which sees the client and not what the client forged', async () => {
    const { status, body, headers } = await get('/headers', {
      Host: 'example.test:8443',
      'X-Forwarded-For': '6.6.6.6',
      Forwarded: 'for=6.6.6.6',
      'X-Forwarded-Proto': 'https',
      'X-Request-Id': 'my-request-1',
      Proxy: 'http://evil.test',
    });
    const seen = JSON.parse(body);
    assert.equal(status, 200);
    assert.equal(seen.host, 'example.test:8443');
    assert.equal(seen['x-real-ip'], '127.0.0.1');
    assert.equal(seen['x-forwarded-for'], '127.0.0.1');
    assert.equal(seen['x-forwarded-proto'], 'http');
    assert.equal(seen['x-request-id'], 'my-request-1');
    assert.equal(headers['x-request-id'], 'my-request-1');
    assert.equal(seen.forwarded, undefined);
    assert.equal(seen.proxy, undefined);
    await front.app.untilLogged('"client":"127.0.0.1"');
    assert.doesNotMatch(await front.app.logs(), /6\.6\.6\.6/);
  });

  test('a request id that could forge a log line is replaced', async () => {
    const { headers } = await get('/headers', { 'X-Request-Id': 'a b"c' });
    assert.match(String(headers['x-request-id']), /^[0-9a-f]{32}$/);
  });

  test('the access log is one JSON object a line', async () => {
    await get('/headers?quote="', { 'X-Request-Id': 'logged-1', 'User-Agent': 'say "hi"' });
    await front.nginx.untilLogged('logged-1');
    const lines = (await front.nginx.logs()).split('\n').filter((line) => line.includes('logged-1'));
    const { path, status, user_agent: agent, upstream } = JSON.parse(lines[0] ?? '');
    assert.deepEqual([path, status, agent], ['/headers', 200, 'say "hi"']);
    assert.match(upstream, /^unix:\/run\/tsunicorn\/app-[01]\.sock$/);
  });

  test('all workers are used', async () => {
    const pids = new Set<number>();
    for (let i = 0; i < 20; i++) {
      const answers = await Promise.all([get('/'), get('/')]);
      for (const { body } of answers) pids.add(JSON.parse(body).pid);
    }
    assert.equal(pids.size, 2);
  });

  test('a 5 MB upload arrives whole', async () => {
    const body = randomBytes(5_000_000);
    const answer = await request({ host: '127.0.0.1', port: front.port, path: '/upload', method: 'POST', body });
    const { bytes, sha256 } = JSON.parse(answer.body);
    assert.deepEqual([bytes, sha256], [body.length, createHash('sha256').update(body).digest('hex')]);
  });

  test('a body above the limit is refused by nginx', async () => {
    const headers = { 'Content-Length': String(65 * 1024 * 1024), Expect: '100-continue' };
    const { status } = await request({ host: '127.0.0.1', port: front.port, path: '/upload', method: 'POST', headers });
    assert.equal(status, 413);
  });

  test('a slow client keeps nginx busy and not the app', async () => {
    const socket = net.connect(front.port, '127.0.0.1');
    socket.write('POST /upload HTTP/1.1\r\nHost: test\r\nX-Request-Id: slow-client\r\n');
    for (let i = 0; i < 5; i++) {
      await sleep(100);
      socket.write(`X-Piece: ${i}\r\n`);
    }
    socket.write('Content-Length: 20\r\nConnection: close\r\n\r\n');
    for (let i = 0; i < 20; i++) {
      await sleep(100);
      socket.write('x');
    }
    let answer = '';
    for await (const chunk of socket) answer += chunk;
    assert.match(answer, /^HTTP\/1\.1 200 .*"bytes":20/s);
    await front.app.untilLogged('slow-client');
    const line = (await front.app.logs()).split('\n').find((text) => text.includes('slow-client'));
    assert.ok(JSON.parse(line ?? '').duration_ms < 1_000, String(line));
  });

  test('text is compressed for those who ask', async () => {
    const size = (...args: string[]) =>
      must('curl', ['-sS', '-o', '/dev/null', '-w', '%{size_download}', ...args, `http://127.0.0.1:${front.port}/big`]);
    assert.equal(await size(), '2000000');
    assert.ok(Number(await size('-H', 'Accept-Encoding: gzip')) < 20_000);
  });

  test('static files come from nginx with a long life, what is not there from the app', async () => {
    const file = await get('/static/app.1a2b.js');
    assert.equal(file.status, 200);
    assert.equal(file.headers['cache-control'], 'public, max-age=31536000, immutable');
    assert.match(String(file.headers['content-type']), /javascript/);
    const other = await get('/static/from-app.js');
    assert.deepEqual([other.body, other.headers['cache-control']], ['from the app', undefined]);
    assert.equal((await get('/static/../headers')).status, 200);
  });

  test('a WebSocket goes through', async () => {
    assert.equal(await webSocketEcho(net.connect(front.port, '127.0.0.1'), 'hello'), 'hello');
  });

  test('no other protocol change does', async () => {
    const { body } = await get('/headers', { Connection: 'Upgrade', Upgrade: 'h2c' });
    assert.equal(JSON.parse(body).upgrade, undefined);
  });

  test('TLS: HTTP/2, HTTP/1.1 and WebSocket, nothing older than TLS 1.2', async () => {
    const session = http2.connect(`https://localhost:${tlsPort}`, { rejectUnauthorized: false, family: 4 } as object);
    const stream = session.request({ ':path': '/headers' }).setEncoding('utf8');
    let text = '';
    for await (const chunk of stream) text += chunk;
    session.close();
    const seen = JSON.parse(text);
    assert.equal(seen['x-forwarded-proto'], 'https');
    assert.equal(seen.host, `localhost:${tlsPort}`);
    assert.equal(session.alpnProtocol, 'h2');

    const options = { host: '127.0.0.1', port: tlsPort, rejectUnauthorized: false };
    const status = await new Promise((resolve, reject) =>
      https.get({ ...options, path: '/', agent: false }, (r) => resolve(r.resume().statusCode)).on('error', reject),
    );
    assert.equal(status, 200);
    assert.equal(await webSocketEcho(tls.connect({ ...options, ALPNProtocols: ['http/1.1'] }), 'secret'), 'secret');
    await assert.rejects(
      new Promise((resolve, reject) => {
        const old = { ...options, maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
        tls.connect(old, () => resolve('connected')).on('error', reject);
      }),
      /alert|version/i,
    );
  });

  test('nginx -t finds nothing to complain about', async () => {
    const text = await podman('exec', front.nginx.name, 'sh', '-c', 'nginx -c /tmp/nginx/nginx.conf -t 2>&1');
    assert.doesNotMatch(text, /warn|emerg|error/);
  });

  test('a new worker is followed', async () => {
    await front.app.signal('TTIN');
    await front.nginx.untilLogged('app-2.sock ', 1);
    assert.equal((await get('/')).status, 200);
  });

  test('it runs without root, and stops when told to', async () => {
    assert.match(await front.nginx.exec('id', '-u'), /^10001$/m);
    assert.equal(await front.nginx.stop(), 0);
  });
});

test('nginx over TCP', { skip }, async (t) => {
  const port = await freePort();
  const admin = await freePort();
  const app = await Container.start(t, {
    network: 'host',
    args: [`--volume=${new URL('./app', import.meta.url).pathname}:/app:ro`],
    env: { TSUNICORN_BIND: `127.0.0.1:${port}`, TSUNICORN_ADMIN_BIND: `127.0.0.1:${admin}`, TSUNICORN_WORKERS: '2' },
  });
  await app.untilLogged('worker is ready', 2);
  const front = await nginx(t, { env: { NGINX_UPSTREAM: `localhost:${port}` } });
  const { body } = await request({ host: '127.0.0.1', port: front.port, path: '/headers' });
  assert.equal(JSON.parse(body)['x-forwarded-for'], '127.0.0.1');
});
