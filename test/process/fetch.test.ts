import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';
import { field, parse, raw, rawRequest } from '../support/raw.ts';
import { start, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

describe('a fetch handler', () => {
  let server: TestServer;
  const undo: (() => unknown)[] = [];
  before(async () => {
    const env = { TSUNICORN_WORKERS: '1', TSUNICORN_LIMIT_BODY_SIZE: '4MiB' };
    server = await start({ after: (fn) => void undo.push(fn) }, { app: 'forms/fetch.js', env });
    await server.ready();
  });
  after(async () => {
    for (const fn of undo) await fn();
  });
  const about = async (path: string, headers = {}): Promise<Record<string, unknown>> =>
    JSON.parse((await server.get(path, { headers })).body);
  const told = async (): Promise<string[]> => JSON.parse((await server.get('/log')).body);

  test('gets a genuine Request with everything in it', async () => {
    const host = `127.0.0.1:${server.port}`;
    assert.deepEqual(await about('/about?a=%20b', { 'x-many': ['1', '2'] }), {
      method: 'GET',
      url: `http://${host}/about?a=%20b`,
      ip: '127.0.0.1',
      remoteAddress: '127.0.0.1',
      genuine: true,
      header: '1, 2',
      hasBody: false,
    });
    assert.equal((await server.get('//other.example/about')).status, 404, 'a path, and no host');
  });

  test('builds the URL from trusted forwarding headers', async () => {
    const { url, ip, remoteAddress } = await about('/about', {
      'x-forwarded-for': '198.51.100.7',
      'x-forwarded-proto': 'https',
      'x-forwarded-host': 'shop.example:8443',
    });
    assert.equal(url, 'https://shop.example:8443/about');
    assert.equal(ip, '198.51.100.7');
    assert.equal(remoteAddress, '198.51.100.7');
  });

  test('sees absolute targets, OPTIONS *, and HTTP/1.0 without a host', async () => {
    const urlOf = async (text: string): Promise<unknown> =>
      JSON.parse(parse(await raw(server.port, `${text}Connection: close\r\n\r\n`)).body).url;
    assert.equal(
      await urlOf('GET http://other.example/about HTTP/1.1\r\nHost: test\r\n'),
      'http://other.example/about',
    );
    assert.equal(await urlOf('GET /about HTTP/1.0\r\n'), 'http://localhost/about');
    assert.equal((await rawRequest(server.port, 'OPTIONS *')).status, 404, 'to the app as /*');
  });

  for (const [what, start, headers, status] of [
    ['a host that is more than a host', 'GET /about', { Host: 'a/b' }, 400],
    ['a host with a user', 'GET /about', { Host: 'user@host' }, 400],
    ['a host with a bad port', 'GET /about', { Host: 'a:99999' }, 400],
    ['a target with a user', 'GET http://user@host/about', {}, 400],
    ['a forwarded host that is none', 'GET /about', { 'X-Forwarded-Host': 'a/b?' }, 400],
    ['TRACE', 'TRACE /about', {}, 501],
  ] as const) {
    test(`never sees ${what}: ${status}`, async () => {
      assert.equal((await rawRequest(server.port, start, headers)).status, status);
    });
  }

  test('answers in one piece what is in memory, several cookies, a status and its text', async () => {
    const hello = await rawRequest(server.port, 'GET /');
    assert.deepEqual(field(hello, 'content-length'), ['5']);
    assert.deepEqual(field(hello, 'transfer-encoding'), []);
    const text = await raw(server.port, 'GET /cookies HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n');
    assert.match(text, /^HTTP\/1\.1 201 Made\r\n/);
    assert.deepEqual(field(parse(text), 'set-cookie'), ['a=1; Path=/', 'b=2, c']);
  });

  test('sends no body for HEAD, 204 and 304, and none with a length of 0 otherwise', async () => {
    const head = await rawRequest(server.port, 'HEAD /');
    assert.deepEqual([head.status, head.body], [200, '']);
    assert.equal((await rawRequest(server.port, 'HEAD /endless')).status, 200, 'and none is made');
    for (const code of [204, 304]) {
      const answer = await rawRequest(server.port, `GET /status?code=${code}`);
      assert.deepEqual([answer.status, answer.body, field(answer, 'content-length')], [code, '', []]);
      assert.deepEqual(field(answer, 'transfer-encoding'), []);
    }
    assert.deepEqual(field(await rawRequest(server.port, 'GET /status?code=200'), 'content-length'), ['0']);
  });

  test('streams both ways at once', async (t) => {
    const outgoing = http.request({
      port: server.port,
      host: '127.0.0.1',
      method: 'POST',
      path: '/echo',
      agent: false,
    });
    t.after(() => outgoing.destroy());
    outgoing.write('one');
    const response = await new Promise<http.IncomingMessage>((resolve) => outgoing.once('response', resolve));
    const chunks = response.setEncoding('utf8')[Symbol.asyncIterator]();
    assert.equal((await chunks.next()).value, 'one');
    outgoing.write('two');
    assert.equal((await chunks.next()).value, 'two');
    outgoing.end();
    assert.equal((await chunks.next()).done, true);
  });

  test('reads JSON, empty and chunked bodies; trailers are ignored', async () => {
    const body = JSON.stringify({ a: 'ü'.repeat(1000) });
    assert.equal((await server.get('/json', { method: 'POST', body })).body, body);
    const empty = await server.get('/about', { method: 'POST' });
    assert.equal(JSON.parse(empty.body).hasBody, false);
    const chunked = await rawRequest(
      server.port,
      'POST /upload',
      { 'Transfer-Encoding': 'chunked', Trailer: 'X-T' },
      '3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n',
    );
    assert.match(chunked.body, /3/);
    assert.equal((await server.get('/upload', { method: 'POST', body: Buffer.alloc(1 << 20) })).body, String(1 << 20));
  });

  test('that leaves a body unread keeps the connection usable', async () => {
    const body = 'x'.repeat(300_000);
    for (const path of ['/status?code=200', '/upload?first', '/held']) {
      const text = await raw(
        server.port,
        `POST ${path} HTTP/1.1\r\nHost: test\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
        'GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n',
      );
      assert.match(text, /hello$/, path);
    }
  });

  test('is refused a body above the limit while it reads', async () => {
    const chunk = `10000\r\n${'x'.repeat(65_536)}\r\n`;
    const answer = await rawRequest(server.port, 'POST /upload', { 'Transfer-Encoding': 'chunked' }, chunk.repeat(80));
    assert.equal(answer.status, 413);
    assert.equal((await server.get('/')).body, 'hello');
    assert.deepEqual(server.logged('the request handler failed'), [], 'the handler did nothing wrong');
  });

  test('that throws, or returns no Response, is a 500 with the request’s id in the log', async () => {
    for (const [path, reason] of [
      ['/throw', /thrown on purpose/],
      ['/nothing', /fetch\.js returned undefined, not a Response/],
    ] as const) {
      const before = server.logged('the request handler failed').length;
      const answer = await server.get(path, { headers: { 'x-request-id': `id-of-${path}` } });
      assert.equal(answer.status, 500);
      const line = await server.untilLogged('the request handler failed', before + 1);
      assert.equal(line.request_id, `id-of-${path}`);
      assert.match(JSON.stringify(line.err), reason);
    }
  });

  test('may have a stream of text', async () => {
    for (const [query, body, lengths] of [
      ['chunks=0', '', ['0']],
      ['chunks=1', 'ü0', ['3']],
      ['chunks=1&length=3', 'ü0', ['3']],
      ['chunks=3', 'ü0ü1ü2', []],
      ['chunks=1&slow', 'ü0', []],
      ['chunks=3&slow&length=9', 'ü0ü1ü2', ['9']],
    ] as const) {
      const { status, headers, body: received } = await server.get(`/text?${query}`);
      assert.deepEqual([status, received, headers['content-length']], [200, body, lengths[0]], query);
    }
  });

  test('whose stream fails in the middle has its connection cut, and the failure logged', async () => {
    const before = server.logged('the request handler failed').length;
    const text = await raw(server.port, 'GET /mid HTTP/1.1\r\nHost: test\r\n\r\n');
    assert.match(text, /part\r\n$/, 'no last chunk, so the client sees that it is not whole');
    const line = await server.untilLogged('the request handler failed', before + 1);
    assert.match(JSON.stringify(line.err), /in the middle on purpose/);
    assert.equal((await server.get('/length')).status, 500, 'a wrong length is not sent on');
    const wrong = await server.untilLogged('the request handler failed', before + 2);
    assert.match(JSON.stringify(wrong.err), /4 bytes, but its content-length is 9/);
    assert.equal((await server.get('/length?empty')).status, 500);
    const empty = await server.untilLogged('the request handler failed', before + 3);
    assert.match(JSON.stringify(empty.err), /0 bytes, but its content-length is 9/);
  });

  test('learns that its client left, and that is not a failure', async () => {
    const before = server.logged('the request handler failed').length;
    const open = (text: string): net.Socket =>
      net.connect({ port: server.port, host: '127.0.0.1' }, function (this: net.Socket) {
        this.write(text);
      });
    const signal = open('GET /signal HTTP/1.1\r\nHost: test\r\n\r\n');
    await waitFor(
      'the request is in flight',
      async () => (await server.metric('tsunicorn_http_requests_in_flight{worker="0"}')) > 0,
    );
    signal.destroy();
    await waitFor('the signal is aborted', async () => (await told()).includes('signal: AbortError'));

    const waiting = open('GET /waiting HTTP/1.1\r\nHost: test\r\n\r\n');
    const head = await new Promise<Buffer>((resolve) => waiting.once('data', resolve));
    assert.match(head.toString(), /^HTTP\/1\.1 200 OK/, 'the head comes before the first chunk');
    waiting.destroy();
    await waitFor('the stream is cancelled', async () => (await told()).includes('cancelled while waiting'));
    assert.equal(server.logged('the request handler failed').length, before);
  });

  test('gets backpressure from a slow client', async () => {
    const socket = net.connect({ port: server.port, host: '127.0.0.1' });
    socket.write('GET /endless HTTP/1.1\r\nHost: test\r\n\r\n');
    await new Promise((resolve) => socket.once('readable', resolve));
    // Nothing is read: it goes on until the buffers of both kernels and of Node.js are full, which is a few MB at most.
    for (let i = 0; i < 20; i++) assert.equal((await server.get('/')).body, 'hello');
    socket.destroy();
    const line = await waitFor('the stream is cancelled', async () =>
      (await told()).findLast((entry) => /^cancelled after \d{2,}$/.test(entry)),
    );
    const chunks = Number(line.replace(/\D/g, ''));
    assert.ok(chunks < 400, `${chunks} chunks of 64 KiB were made for a client that reads nothing`);
  });

  test('that does not read puts backpressure on its client', async () => {
    const socket = net.connect({ port: server.port, host: '127.0.0.1' });
    let answer = '';
    socket.on('data', (data) => {
      answer += data;
    });
    socket.on('error', () => undefined);
    socket.write('POST /stuck HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n');
    const chunk = `100000\r\n${'x'.repeat(1 << 20)}\r\n`;
    for (let i = 0; i < 32; i++) socket.write(chunk);
    for (let i = 0; i < 50; i++) assert.equal((await server.get('/')).body, 'hello');
    assert.equal(answer, '', 'nor was more than the limit of 4 MiB read, which is a 413');
    assert.ok(socket.writableLength > 0);
    socket.destroy();
  });
});

test('a fetch handler drains with a request in flight', async (t) => {
  const server = await (await start(t, { app: 'forms/fetch.js', env: { TSUNICORN_WORKERS: '1' } })).ready();
  const slow = server.get('/slow?ms=500');
  await server.get('/'); // accepted after it, by the same worker
  server.signal('SIGTERM');
  assert.equal((await slow).body, 'slow');
  assert.equal((await server.exited).code, 0);
});
