import assert from 'node:assert/strict';
import http, { IncomingMessage, type ServerResponse } from 'node:http';
import net, { type AddressInfo, Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { answerInstead } from '../../src/worker/http/error-responses.ts';
import { refusalOf, watchBody } from '../../src/worker/http/gate.ts';

const LIMITS = { limitRequestLine: 100, limitRequestFields: 3, limitBodySize: 0 };

function request(method: string, url: string, ...rawHeaders: string[]): IncomingMessage {
  const message = new IncomingMessage(new Socket());
  message.method = method;
  message.url = url;
  message.rawHeaders = rawHeaders;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    message.headers[String(rawHeaders[i]).toLowerCase()] = String(rawHeaders[i + 1]);
  }
  return message;
}

/** `GET ` and ` HTTP/1.1` with its line end are 15 bytes. */
const urlOfLine = (bytes: number): string => '/'.padEnd(bytes - 15, 'x');
const fields = (n: number): string[] => Array.from({ length: n }, (_, i) => [`x-${i}`, 'y']).flat();
const body = (length: string): string[] => ['Content-Length', length];

describe('what a request is refused for by its head', () => {
  const limited = { ...LIMITS, limitBodySize: 1000 };
  const rows: [what: string, IncomingMessage, typeof LIMITS, number | undefined][] = [
    ['nothing', request('GET', '/'), LIMITS, undefined],
    ['a line of just the limit', request('GET', urlOfLine(100)), LIMITS, undefined],
    ['a longer line', request('GET', urlOfLine(101)), LIMITS, 414],
    ['a line that is longer for its method', request('DELETE', urlOfLine(100)), LIMITS, 414],
    ['as many fields as allowed', request('GET', '/', ...fields(3)), LIMITS, undefined],
    ['one field more', request('GET', '/', ...fields(4)), LIMITS, 431],
    ['the same field too often', request('GET', '/', 'a', '1', 'a', '2', 'a', '3', 'a', '4'), LIMITS, 431],
    ['any body where there is no limit', request('POST', '/', ...body('99999999999')), LIMITS, undefined],
    ['a body of just the limit', request('POST', '/', ...body('1000')), limited, undefined],
    ['a longer body', request('POST', '/', ...body('1001')), limited, 413],
    ['a body beyond all numbers', request('POST', '/', ...body('9'.repeat(400))), limited, 413],
    ['no body', request('GET', '/'), limited, undefined],
    [
      'a chunked body, whose length is not known yet',
      request('POST', '/', 'Transfer-Encoding', 'chunked'),
      limited,
      undefined,
    ],
    ['the line before the rest', request('GET', urlOfLine(101), ...fields(9)), LIMITS, 414],
  ];
  for (const [what, message, limits, status] of rows) {
    it(what, () => assert.equal(refusalOf(message, limits)?.status, status));
  }

  it('has a reason for the metrics', () => {
    const reasons = [
      request('GET', urlOfLine(101)),
      request('GET', '/', ...fields(4)),
      request('POST', '/', ...body('1001')),
    ].map((r) => refusalOf(r, limited)?.why);
    assert.deepEqual(reasons, ['uri_too_long', 'too_many_fields', 'body_too_large']);
  });
});

describe('a body that is longer than it may be', () => {
  const chunked = ['Transfer-Encoding', 'chunked'];
  /** Chunk lengths, then what the app got of them and how often the limit was reported. */
  const rows: [what: string, headers: string[], chunks: number[], got: number, reports: number][] = [
    ['shorter', chunked, [3, 3], 6, 0],
    ['just as long', chunked, [5, 5], 10, 0],
    ['one byte longer', chunked, [5, 6], 5, 1],
    ['in one chunk', chunked, [11], 0, 1],
    ['and goes on', chunked, [5, 6, 7, 8], 5, 1],
    ['of known length, which was looked at before', body('11'), [11], 11, 0],
  ];
  for (const [what, headers, chunks, got, reports] of rows) {
    it(what, async () => {
      const message = request('POST', '/', ...headers);
      let exceeded = 0;
      let received = 0;
      watchBody(message, 10, () => {
        exceeded++;
        message.destroy();
      });
      message.on('data', (chunk: Buffer) => {
        received += chunk.length;
      });
      for (const length of chunks) {
        message.push(Buffer.alloc(length));
        await new Promise(setImmediate);
      }
      message.push(null);
      await new Promise(setImmediate);
      assert.deepEqual([received, exceeded], [got, reports]);
    });
  }
});

describe('an answer in the place of the app', () => {
  type Handler = (request: IncomingMessage, response: ServerResponse) => void;
  let handler: Handler;
  const server = http.createServer((q, s) => handler(q, s));
  before(() => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve)));
  after(() => server.close());

  /** The whole answer to one request as text; the app's own doings are `handle`. */
  async function answerTo(handle: Handler, method = 'GET'): Promise<string> {
    handler = handle;
    const socket = net.connect((server.address() as AddressInfo).port, '127.0.0.1');
    socket.write(`${method} / HTTP/1.1\r\nHost: h\r\n\r\n`);
    let text = '';
    for await (const chunk of socket.setEncoding('latin1')) text += chunk;
    return text;
  }

  it('has a status, a text, and ends the connection', async () => {
    const text = await answerTo((_, response) => answerInstead(response, 503, { 'Retry-After': '1' }));
    assert.match(text, /^HTTP\/1\.1 503 Service Unavailable\r\n/);
    assert.match(text, /\r\nConnection: close\r\n/);
    assert.match(text, /\r\nContent-Length: 24\r\n/);
    assert.match(text, /\r\nRetry-After: 1\r\n/);
    assert.ok(text.endsWith('\r\n\r\n503 Service Unavailable\n'));
  });

  it('to HEAD has no body', async () => {
    const text = await answerTo((_, response) => answerInstead(response, 413), 'HEAD');
    assert.ok(text.endsWith('\r\n\r\n'));
  });

  it('has nothing of what the app had prepared', async () => {
    const text = await answerTo((_, response) => {
      response.setHeader('Set-Cookie', 'secret=1');
      response.setHeader('Content-Length', '5');
      response.setHeader('Content-Encoding', 'gzip');
      response.statusCode = 200;
      answerInstead(response, 500);
    });
    assert.match(text, /^HTTP\/1\.1 500 /);
    assert.doesNotMatch(text, /secret|gzip|Content-Length: 5/);
  });

  it('does not let the app do harm, or throw, when it answers too late', async () => {
    const errors: unknown[] = [];
    const text = await answerTo((_, response) => {
      answerInstead(response, 503);
      const late: (() => unknown)[] = [
        () => response.setHeader('A', 'b'),
        () => response.setHeaders(new Map([['a', 'b']])),
        () => response.appendHeader('A', 'b'),
        () => response.removeHeader('Content-Type'),
        () => response.writeHead(200, { A: 'b' }),
        () => response.flushHeaders(),
        () => response.write('late'),
        () => response.writeContinue(),
        () => response.writeProcessing(),
        () => response.writeEarlyHints({ link: '</a.css>; rel=preload' }),
        () => response.addTrailers({ A: 'b' }),
        () => response.end('late'),
        () => response.end(),
        () => response.setHeader('A', 'b'),
      ];
      for (const step of late) {
        try {
          step();
        } catch (error) {
          errors.push(error);
        }
      }
    });
    assert.deepEqual(errors, []);
    assert.ok(text.endsWith('\r\n\r\n503 Service Unavailable\n'), text);
    assert.equal(text.split('HTTP/1.1').length, 2);
  });

  it('chains as the methods do that it mutes', async () => {
    await answerTo((_, response) => {
      answerInstead(response, 503);
      assert.equal(response.writeHead(200), response);
      assert.equal(response.setHeader('a', 'b'), response);
      assert.equal(response.end(), response);
      assert.equal(response.write('x'), true);
    });
  });

  it('that has begun already is cut off', async () => {
    const text = await answerTo((_, response) => {
      response.writeHead(200, { 'Content-Length': 1000 });
      response.write('begun');
      setTimeout(() => answerInstead(response, 500), 20);
    });
    assert.match(text, /^HTTP\/1\.1 200 /);
    assert.ok(text.endsWith('begun'));
  });

  it('that is complete already goes out whole: the handler failed after its end()', async () => {
    const whole = Buffer.alloc(8 * 1024 * 1024, 'x');
    const text = await answerTo((_, response) => {
      response.writeHead(200, { 'Content-Length': whole.length, Connection: 'close' });
      response.end(whole);
      answerInstead(response, 500);
    });
    assert.equal(text.length - text.indexOf('\r\n\r\n') - 4, whole.length);
  });
});
