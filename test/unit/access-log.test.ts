import assert from 'node:assert/strict';
import { describe, it, mock } from 'node:test';
import { jsonEscape } from '../../src/observe/log/json.ts';
import { LineWriter } from '../../src/observe/log/line-writer.ts';
import type { SeenHeaders } from '../../src/observe/log/request-headers.ts';
import { exchange, type Given, linesOf, recordOf } from './access-log-kit.ts';

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

describe('a line of the access log', () => {
  it('has the fields of the contract and no others', async () => {
    const seen: SeenHeaders[] = [];
    const clientOf = (headers: SeenHeaders): string => {
      seen.push(headers);
      return '198.51.100.7';
    };
    const rawHeaders = [
      'Referer',
      'http://a/',
      'User-Agent',
      'curl/8',
      'X-Request-Id',
      'abc',
      'X-Forwarded-For',
      '9.9.9.9',
    ];
    const given = {
      method: 'POST',
      url: '/a/b?c=d?e',
      rawHeaders,
      sentBefore: 10,
      bytesWritten: 150,
      header: 'x'.repeat(100),
      startedAt: 1.5,
      clientOf,
    };
    const [line = ''] = await linesOf((log) => log.request(exchange(given), 201, 4.0006));
    const { time, ...rest } = JSON.parse(line);
    assert.match(time, TIME);
    assert.deepEqual(rest, {
      remote: '127.0.0.1',
      client: '198.51.100.7',
      method: 'POST',
      path: '/a/b',
      query: 'c=d?e',
      protocol: 'HTTP/1.1',
      status: 201,
      bytes: 40,
      duration_ms: 2.501,
      referer: 'http://a/',
      user_agent: 'curl/8',
      request_id: 'abc',
      worker: 2,
    });
    assert.deepEqual(
      seen.map((s) => s.forwardedFor),
      ['9.9.9.9'],
    );
  });

  it('has an id also where none came with the request', async () => {
    assert.match(String((await recordOf({})).request_id), /^[0-9a-f]{12}0000002a$/);
  });

  it('splits the query off at the first question mark', async () => {
    const rows = [
      ['/', '/', ''],
      ['/?', '/', ''],
      ['/a?b=c&d', '/a', 'b=c&d'],
      ['/a?b?c', '/a', 'b?c'],
      ['?a', '', 'a'],
      ['*', '*', ''],
      ['', '', ''],
      ['http://host/a?b', 'http://host/a', 'b'],
      ['/%3Fa%22', '/%3Fa%22', ''],
    ];
    for (const [url = '', path, query] of rows) {
      const record = await recordOf({ url });
      assert.deepEqual([record.path, record.query], [path, query], url);
    }
  });

  it('counts the bytes of the body, never below none', async () => {
    const rows: [sentBefore: number, bytesWritten: number, header: string | null, bytes: number][] = [
      [0, 0, null, 0],
      [0, 120, 'x'.repeat(120), 0],
      [0, 1120, 'x'.repeat(120), 1000],
      [5000, 6120, 'x'.repeat(120), 1000],
      [0, 50, 'x'.repeat(120), 0],
      [0, 70, null, 70],
    ];
    for (const [sentBefore, bytesWritten, header, bytes] of rows) {
      assert.equal((await recordOf({ sentBefore, bytesWritten, header })).bytes, bytes);
    }
  });

  it('tells durations in milliseconds, to the microsecond', async () => {
    const rows = [
      [0, 0, 0],
      [0, 0.0004, 0],
      [0, 0.0005, 0.001],
      [10.5, 20.75, 10.25],
      [0, 123_456.789, 123_456.789],
    ];
    for (const [startedAt = 0, now = 0, duration] of rows) {
      assert.equal((await recordOf({ startedAt }, 200, now)).duration_ms, duration);
    }
  });

  it('tells the time to the millisecond, over the turn of seconds and back', async () => {
    const times = [0, 7, 42, 999, 1000, 1_782_907_201_005, 1_782_907_201_999, 1_782_907_202_000, 1_782_907_200_100];
    const clock = mock.method(Date, 'now', () => times[clock.mock.callCount()] ?? 0);
    try {
      const lines = await linesOf((log) => {
        for (const _ of times) log.request(exchange(), 200, 0);
      });
      const told = lines.map((line) => JSON.parse(line).time);
      assert.deepEqual(
        told,
        times.map((t) => new Date(t).toISOString()),
      );
    } finally {
      clock.mock.restore();
    }
  });

  it('of a request that could not be parsed has what is known of it', async () => {
    const [line = ''] = await linesOf((log) => log.malformed('203.0.113.9', 400, 'HPE_INVALID_METHOD"\n'));
    const { time, ...rest } = JSON.parse(line);
    assert.match(time, TIME);
    assert.deepEqual(rest, {
      remote: '203.0.113.9',
      client: '203.0.113.9',
      status: 400,
      error: 'HPE_INVALID_METHOD"\n',
      worker: 2,
    });
  });
});

/** Where text that a client chooses ends up, and how it gets there. The method is one of the parser's list. */
const PLACES: Record<string, (text: string) => Given> = {
  path: (url) => ({ url }),
  query: (query) => ({ url: `/?${query}` }),
  referer: (value) => ({ rawHeaders: ['Referer', value] }),
  user_agent: (value) => ({ rawHeaders: ['User-Agent', value] }),
  request_id: (value) => ({ rawHeaders: ['X-Request-Id', value] }),
};

describe('a hostile request', () => {
  for (const [field, given] of Object.entries(PLACES)) {
    it(`keeps the line whole, whatever byte is in ${field}`, async () => {
      for (let byte = 0; byte < 256; byte++) {
        const text = `a${String.fromCharCode(byte)}b`;
        const record = await recordOf(given(text));
        assert.equal(record[field], field === 'path' && text === 'a?b' ? 'a' : text, `byte ${byte}`);
        assert.equal(record.worker, 2);
      }
    });

    it(`cannot forge a field or a line in ${field}`, async () => {
      const forgeries = [
        '","status":200,"x":"',
        '\n{"time":"forged"}\n',
        '\\',
        '\\"',
        '\\u0022',
        '\u2028\u2029',
        '\ud800',
        '\udfff\ud800',
        '\u{1f984}',
        '\ufeff',
        '\uffff',
      ];
      for (const text of forgeries) {
        const record = await recordOf(given(text), 403);
        assert.equal(record[field], text, JSON.stringify(text));
        assert.equal(record.status, 403);
        assert.deepEqual(Object.keys(record).length, 14);
      }
    });
  }
});

describe('jsonEscape', () => {
  it('gives back the text through JSON, in printable ASCII, for every code unit, in short texts and long ones', async () => {
    for (const filler of ['', 'some more text than is copied in a loop']) {
      for (let unit = 0; unit <= 0xffff; unit++) {
        const text = `${String.fromCharCode(unit)}.${filler}`;
        out.text(text).end();
        out.flush();
        const written = block.splice(0).join('').slice(0, -1);
        assert.match(written, /^[ -~]+$/);
        assert.equal(JSON.parse(`"${written}"`), text);
      }
    }
  });

  const block: Buffer[] = [];
  const destination = { blockSize: 4096, spare: () => undefined, write: (bytes: Buffer) => void block.push(bytes) };
  const out = new LineWriter(destination, jsonEscape);
});
