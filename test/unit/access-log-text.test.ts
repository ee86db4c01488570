import assert from 'node:assert/strict';
import { describe, it, mock } from 'node:test';
import { accessLogFormat } from '../../src/config/access-log-format.ts';
import type { ParseContext } from '../../src/config/table.ts';
import type { LineFormat } from '../../src/observe/log/access-log.ts';
import { commonLogClock, textLines } from '../../src/observe/log/text.ts';
import { exchange, type Given, linesOf } from './access-log-kit.ts';

const TIME = String.raw`\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]`;

function compiled(format: string): LineFormat {
  const parsed = accessLogFormat.parse(format, {} as ParseContext);
  assert.ok(parsed.kind === 'text');
  return textLines(parsed.pieces, { pid: 4711, env: { REGION: 'eu"1', EMPTY: '', EURO: '€' } });
}

async function lineOf(format: string, given: Given, { status = 200, now = 0 } = {}): Promise<string> {
  const lines = await linesOf((log) => log.request(exchange(given), status, now), compiled(format));
  assert.equal(lines.length, 1);
  return lines[0] ?? '';
}

const basic = (credentials: string): string[] => [
  'Authorization',
  `Basic ${Buffer.from(credentials, 'latin1').toString('base64')}`,
];

const ROWS: [format: string, given: Given, line: string][] = [
  ['%(h)s', { remote: '192.0.2.7' }, '192.0.2.7'],
  ['%(h)s', { remote: '' }, '-'],
  ['%(l)s', {}, '-'],
  ['%(r)s', { method: 'POST', url: '/a?b' }, 'POST /a?b HTTP/1.1'],
  ['%(m)s|%(U)s|%(q)s|%(H)s', { method: 'PUT', url: '/a/b?c=d?e' }, 'PUT|/a/b|c=d?e|HTTP/1.1'],
  ['%(U)s|%(q)s', { url: '/a%20b' }, '/a%20b|'],
  ['%(s)s', {}, '200'],
  ['%(B)s %(b)s', { bytesWritten: 0 }, '0 -'],
  ['%(B)s %(b)s', { bytesWritten: 1234 }, '1234 1234'],
  ['%(f)s %(a)s', {}, '- -'],
  ['%(f)s %(a)s', { rawHeaders: ['Referer', 'http://a/', 'User-Agent', 'curl/8'] }, 'http://a/ curl/8'],
  ['%(p)s', {}, '<4711>'],
  ['%({X-Id}i)s', { rawHeaders: ['x-id', '1', 'X-ID', '2'] }, '1, 2'],
  ['%({X-Id}i)s', { rawHeaders: ['x-idx', '1'] }, '-'],
  ['%({content-type}o)s', { header: 'HTTP/1.1 200 OK\r\nContent-Type:  text/plain\r\n\r\n' }, 'text/plain'],
  ['%({set-cookie}o)s', { header: 'HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nX: y\r\nset-cookie: b\r\n\r\n' }, 'a, b'],
  ['%({cookie}o)s %({x}o)s', { header: 'HTTP/1.1 200 OK\r\nSet-Cookie: x: a\r\n\r\n' }, '- -'],
  ['%({x.y}o)s', { header: 'HTTP/1.1 200 OK\r\nx-y: a\r\n\r\n' }, '-'],
  ['%({x}o)s', { header: null }, '-'],
  ['%({REGION}e)s %({EMPTY}e)s %({NONE}e)s %({EURO}e)s', {}, 'eu\\"1 - - \\u20ac'],
  ['"%%"\\ %(s)s\t', {}, '"%"\\ 200\t'],
  ['%(u)s', { rawHeaders: basic('ann:secret') }, 'ann'],
  ['%(u)s', { rawHeaders: basic('ann') }, 'ann'],
  ['%(u)s', { rawHeaders: basic(':x') }, '-'],
  ['%(u)s', { rawHeaders: ['Authorization', 'Bearer YW5uOng='] }, '-'],
  ['%(u)s', { rawHeaders: ['Authorization', 'Basic !!'] }, '-'],
  ['%(u)s', { rawHeaders: basic('a b" 200 \n:x') }, 'a\\x20b\\"\\x20200\\x20\\x0A'],
  ['%(u)s', { rawHeaders: basic(' a :x') }, '\\x20a\\x20'],
];

describe('a line by a format', () => {
  for (const [format, given, line] of ROWS) {
    it(`${format} of ${JSON.stringify(given)}`, async () => {
      // A tab and a quote of the format's own stand as they are; the kit wants ASCII without tabs.
      assert.equal((await lineOf(format.replace('\t', '!'), given)).replace('!', '\t'), line);
    });
  }

  it('tells durations in every unit', async () => {
    const rows: [now: number, line: string][] = [
      [0, '0 0 0 0.000000'],
      [0.0015, '0 2 0 0.000002'],
      [999.9996, '1 1000000 1000 1.000000'],
      [61_234.5678, '61 61234568 61234 61.234568'],
    ];
    for (const [now, line] of rows) {
      assert.equal(await lineOf('%(T)s %(D)s %(M)s %(L)s', { startedAt: 0 }, { now }), line);
    }
  });

  it('is what other servers write, under the names common and combined', async () => {
    const given: Given = {
      method: 'GET',
      url: '/a?b',
      bytesWritten: 5,
      rawHeaders: [...basic('ann:x'), 'Referer', 'http://r/', 'User-Agent', 'curl/8'],
    };
    assert.match(await lineOf('common', given), new RegExp(`^127.0.0.1 - ann ${TIME} "GET /a\\?b HTTP/1.1" 200 5$`));
    assert.match(
      await lineOf('combined', given),
      new RegExp(`^127.0.0.1 - ann ${TIME} "GET /a\\?b HTTP/1.1" 200 5 "http://r/" "curl/8"$`),
    );
  });

  it('of a request that could not be parsed has what is known of it', async () => {
    const [line] = await linesOf(
      (log) => log.malformed('203.0.113.9', 400, 'HPE'),
      compiled('%(h)s "%(r)s" %(s)s %(B)s %({x}i)s %(p)s'),
    );
    assert.equal(line, '203.0.113.9 "-" 400 0 - <4711>');
  });
});

/** Where text that a client or the app chooses ends up, and how it gets there. */
const PLACES: Record<string, [format: string, given: (text: string) => Given]> = {
  'the request line': ['"%(r)s"', (text) => ({ url: `/${text}` })],
  'the path': ['"%(U)s"', (text) => ({ url: `/${text}` })],
  'the query': ['"%(q)s"', (text) => ({ url: `/?${text}` })],
  'the referrer': ['"%(f)s"', (text) => ({ rawHeaders: ['Referer', text] })],
  'the user agent': ['"%(a)s"', (text) => ({ rawHeaders: ['User-Agent', text] })],
  'a request header': ['"%({x}i)s"', (text) => ({ rawHeaders: ['X', text] })],
  'a response header': ['"%({x}o)s"', (text) => ({ header: `HTTP/1.1 200 OK\r\nX: ${text}\r\n\r\n` })],
  'the user': ['"%(u)s"', (text) => ({ rawHeaders: basic(`${text}:x`) })],
};

describe('a hostile request', () => {
  for (const [place, [format, given]] of Object.entries(PLACES)) {
    it(`can neither end the line nor a quoted field through ${place}`, async () => {
      for (let byte = 0; byte < 256; byte++) {
        const char = String.fromCharCode(byte);
        for (const text of [char, `a${char}" 200 "and a text that is longer than the loop copies`]) {
          if (place === 'the user' && text.startsWith(':')) continue;
          if (place === 'a response header' && char === '\r') continue; // Node.js refuses it
          const line = await lineOf(format, given(text));
          assert.match(line, /^"(?:[^"\\]|\\["\\]|\\x[\dA-F]{2})*"$/, `byte ${byte}`);
        }
      }
    });
  }
});

it('the time of the Common Log Format is local, and its text new each second', () => {
  const times = [1_782_907_201_000, 1_782_907_201_999, 1_782_907_202_000];
  const now = mock.method(Date, 'now', () => times[now.mock.callCount()] ?? 0);
  try {
    const clock = commonLogClock();
    for (const time of times) {
      const text = Buffer.from(clock.now()).toString();
      const parts = /^\[(\d+)\/(\w+)\/(\d+):([\d:]+) ([+-]\d{4})\]$/.exec(text) ?? [];
      const [, day, month, year, clockTime, zone] = parts;
      assert.equal(Date.parse(`${day} ${month} ${year} ${clockTime} ${zone}`), Math.floor(time / 1000) * 1000, text);
    }
  } finally {
    now.mock.restore();
  }
});
