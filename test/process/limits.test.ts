import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { raw } from '../support/raw.ts';
import { start, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const status = (text: string): string => text.split('\r\n')[0] ?? '';

for (const app of ['basic.js', 'server.js']) {
  describe(`limits and timeouts, ${app}`, () => {
    let server: TestServer;
    const undo: (() => unknown)[] = [];
    before(async () => {
      server = await start(
        { after: (fn) => void undo.push(fn) },
        {
          app,
          env: {
            TSUNICORN_WORKERS: '1',
            TSUNICORN_HEADER_TIMEOUT: '0.5',
            TSUNICORN_BODY_TIMEOUT: '1',
            TSUNICORN_REQUEST_TIMEOUT: '0.5',
            TSUNICORN_KEEPALIVE: '0.5',
            TSUNICORN_LIMIT_HEADER_SIZE: '8KiB',
            TSUNICORN_LIMIT_REQUEST_LINE: '2000',
            TSUNICORN_LIMIT_REQUEST_FIELDS: '20',
            TSUNICORN_LIMIT_BODY_SIZE: '10KiB',
          },
        },
      );
      await server.ready();
    });
    after(() => Promise.all(undo.map((fn) => fn())));

    for (const [what, request, expected, reason] of [
      ['what is not HTTP', 'nonsense\r\n\r\n', 'HTTP/1.1 400 Bad Request', 'malformed'],
      ['a request without Host', 'GET / HTTP/1.1\r\n\r\n', 'HTTP/1.1 400 Bad Request', undefined],
      [
        'a header that is too large',
        `GET / HTTP/1.1\r\nHost: x\r\nA: ${'a'.repeat(9000)}\r\n\r\n`,
        'HTTP/1.1 431 Request Header Fields Too Large',
        'malformed',
      ],
      [
        'too many header fields',
        `GET / HTTP/1.1\r\nHost: x\r\n${'A: a\r\n'.repeat(20)}\r\n`,
        'HTTP/1.1 431 Request Header Fields Too Large',
        'too_many_fields',
      ],
      [
        'a request line that is too long',
        `GET /${'a'.repeat(2000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
        'HTTP/1.1 414 URI Too Long',
        'uri_too_long',
      ],
      [
        'a body that is declared too large',
        'POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n',
        'HTTP/1.1 413 Payload Too Large',
        'body_too_large',
      ],
      [
        'a chunked body that grows too large',
        `POST /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${`1000\r\n${'a'.repeat(4096)}\r\n`.repeat(4)}`,
        'HTTP/1.1 413 Payload Too Large',
        'body_too_large',
      ],
      ['a header that comes too slowly', 'GET / HTTP/1.1\r\nHost: x\r\n', 'HTTP/1.1 408 Request Timeout', 'timeout'],
      [
        'a response that does not start',
        'GET /never HTTP/1.1\r\nHost: x\r\n\r\n',
        'HTTP/1.1 503 Service Unavailable',
        'timeout',
      ],
    ] as const) {
      test(what, async () => {
        const series = `tsunicorn_http_requests_rejected_total{reason="${reason}"}`;
        const count = reason === undefined ? 0 : await server.metric(series);
        assert.equal(status(await raw(server.port, request)), expected);
        // The worker lives, and has counted it.
        assert.equal((await server.get('/')).body, 'hello');
        if (reason !== undefined) await waitFor('it is counted', async () => (await server.metric(series)) > count);
      });
    }

    test('what is just within the limits', async () => {
      const fields = 'A: a\r\n'.repeat(18);
      const within = `POST /upload HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${fields.slice(6)}Content-Length: 10240\r\n\r\n${'b'.repeat(10240)}`;
      const answer = await raw(server.port, within);
      assert.equal(status(answer), 'HTTP/1.1 200 OK');
      assert.match(answer, /10240/);
    });

    test('a malformed request has a line in the access log and one in the server log', async () => {
      assert.ok(server.access.some((line) => line.status === 400 && line.error === 'HPE_INVALID_METHOD'));
      assert.ok(server.logged('refused a malformed or slow request').length > 0);
    });

    test('an idle keep-alive connection is closed after the keep-alive time', async () => {
      const at = performance.now();
      const answer = await raw(server.port, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n');
      assert.match(answer, /keep-alive/i);
      const took = performance.now() - at;
      assert.ok(took > 400 && took < 15_000, `${took} ms`);
    });

    test('it was one worker all the time, and it stops with 0', async () => {
      assert.equal(server.logged('is ready').length, 1);
      assert.deepEqual(server.logged('request handler failed'), []);
      assert.equal(await server.stop(), 0);
    });
  });
}

test('a response that has not begun in time is a 503, and its worker goes on', async (t) => {
  const env = { TSUNICORN_WORKERS: '1', TSUNICORN_REQUEST_TIMEOUT: '0.5' };
  const server = await (await start(t, { app: 'basic.js', env })).ready();
  await server.untilLogged('is ready');
  const log = server.log.length;
  const other = server.get('/slow?ms=300');
  assert.equal((await server.get('/never')).status, 503);
  assert.equal((await other).status, 200);
  const refused = () => server.metric('tsunicorn_http_requests_rejected_total{reason="timeout"}');
  await waitFor('it is counted', async () => (await refused()) === 1);
  assert.equal(server.log.length, log, server.stderr);
  assert.equal(await server.stop(), 0);
  assert.equal(server.access.find(({ path }) => path === '/never')?.status, 503);
});
