import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RequestIds, scan } from '../../src/observe/log/request-headers.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const PARENT = '00f067aa0ba902b7';

const MADE = /^[0-9a-f]{20}$/;

const rows: [what: string, rawHeaders: string[], id: string | RegExp][] = [
  ['X-Request-Id', ['X-Request-Id', 'abc'], 'abc'],
  ['X-Request-Id before traceparent', ['traceparent', `00-${TRACE}-${PARENT}-01`, 'X-Request-Id', 'abc'], 'abc'],
  ['X-Request-Id of 128 characters', ['X-Request-Id', 'x'.repeat(128)], 'x'.repeat(128)],
  ['longer ones are cut', ['X-Request-Id', 'x'.repeat(9000)], 'x'.repeat(128)],
  ['an empty X-Request-Id', ['X-Request-Id', ''], MADE],
  [
    'an empty X-Request-Id beside a traceparent',
    ['X-Request-Id', '', 'traceparent', `00-${TRACE}-${PARENT}-01`],
    TRACE,
  ],
  ['traceparent', ['traceparent', `00-${TRACE}-${PARENT}-01`], TRACE],
  [
    'traceparent of a later version, with more in it',
    ['traceparent', `cc-${TRACE}-${PARENT}-01-what-the-future-brings`],
    TRACE,
  ],
  ['nothing', [], MADE],
  // W3C Trace Context, section 3.2.2: an invalid traceparent has to be ignored.
  ['traceparent without a trace', ['traceparent', `00-${'0'.repeat(32)}-${PARENT}-01`], MADE],
  ['traceparent without a parent', ['traceparent', `00-${TRACE}-${'0'.repeat(16)}-01`], MADE],
  ['traceparent of the version that is forbidden', ['traceparent', `ff-${TRACE}-${PARENT}-01`], MADE],
  ['traceparent in upper case', ['traceparent', `00-${TRACE.toUpperCase()}-${PARENT}-01`], MADE],
  ['traceparent that is too short', ['traceparent', `00-${TRACE.slice(1)}-${PARENT}-01`], MADE],
  ['traceparent that ends early', ['traceparent', `00-${TRACE}-`], MADE],
  ['traceparent that ends before its flags', ['traceparent', `00-${TRACE}-${PARENT}`], MADE],
  ['traceparent with other letters', ['traceparent', `00-${'g'.repeat(32)}-${PARENT}-01`], MADE],
  ['traceparent of nothing', ['traceparent', ''], MADE],
];

describe('the id of a request', () => {
  for (const [what, rawHeaders, expected] of rows) {
    it(what, () => {
      const id = new RequestIds().of(1, scan(rawHeaders));
      if (typeof expected === 'string') assert.equal(id, expected);
      else assert.match(id, expected);
    });
  }

  it('stays the same for the same request and is another for each other one', () => {
    const ids = new RequestIds();
    const serials = [
      ...Array.from({ length: 1000 }, (_, i) => i),
      2 ** 32 - 1,
      2 ** 32,
      2 ** 40,
      Number.MAX_SAFE_INTEGER,
    ];
    const first = serials.map((serial) => ids.of(serial, scan([])));
    assert.deepEqual(
      serials.map((serial) => ids.of(serial, scan([]))),
      first,
    );
    assert.equal(new Set(first).size, serials.length);
  });

  it('is another in another worker', () => {
    assert.notEqual(new RequestIds().of(1, scan([])), new RequestIds().of(1, scan([])));
  });
});
