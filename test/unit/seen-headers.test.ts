import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type SeenHeaders, scan } from '../../src/observe/log/request-headers.ts';

const NOTHING: SeenHeaders = {
  referer: '',
  userAgent: '',
  requestId: '',
  traceparent: '',
  forwardedFor: '',
  forwarded: '',
};

const rows: [what: string, rawHeaders: string[], seen: Partial<SeenHeaders>][] = [
  ['no headers', [], {}],
  [
    'all that are looked for',
    [
      'Referer',
      'r',
      'User-Agent',
      'u',
      'X-Request-Id',
      'i',
      'Traceparent',
      't',
      'X-Forwarded-For',
      'x',
      'Forwarded',
      'f',
    ],
    { referer: 'r', userAgent: 'u', requestId: 'i', traceparent: 't', forwardedFor: 'x', forwarded: 'f' },
  ],
  [
    'in any case',
    [
      'REFERER',
      'r',
      'user-agent',
      'u',
      'x-REQUEST-iD',
      'i',
      'traceParent',
      't',
      'x-forwarded-FOR',
      'x',
      'forWarded',
      'f',
    ],
    { referer: 'r', userAgent: 'u', requestId: 'i', traceparent: 't', forwardedFor: 'x', forwarded: 'f' },
  ],
  [
    'others, also those of the same length',
    ['Host', 'h', 'Upgrade', 'r', 'Connection', 'u', 'If-Match!', 'f', 'X-Request-Ip', 'i'],
    {},
  ],
  ['a value that looks like a name', ['Host', 'Referer', 'Accept', 'User-Agent'], {}],
  [
    'a list in several lines, in order',
    ['X-Forwarded-For', 'a', 'Host', 'h', 'X-Forwarded-For', 'b, c', 'Forwarded', 'for=a', 'Forwarded', 'for=b'],
    { forwardedFor: 'a, b, c', forwarded: 'for=a, for=b' },
  ],
  [
    'empty lines in a list',
    ['X-Forwarded-For', '', 'X-Forwarded-For', 'b', 'Forwarded', '', 'Forwarded', 'for=b'],
    { forwardedFor: 'b', forwarded: 'for=b' },
  ],
  ['empty values', ['Referer', '', 'User-Agent', '', 'X-Request-Id', ''], {}],
  ['a name without a value', ['Referer', 'r', 'User-Agent'], { referer: 'r' }],
  ['names of objects', ['__proto__', 'x', 'constructor', 'y'], {}],
];

describe('the headers that a log line needs', () => {
  for (const [what, rawHeaders, seen] of rows) {
    it(what, () => assert.deepEqual(scan(rawHeaders), { ...NOTHING, ...seen }));
  }
});
