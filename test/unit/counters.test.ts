import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { REQUEST_BUCKETS } from '../../src/observe/metrics/table.ts';
import { Counters } from '../../src/worker/report/counters.ts';

/** Counts by bucket, of what fell into these and no others. */
const inBuckets = (counts: Record<number, number>) =>
  Array.from({ length: REQUEST_BUCKETS.length + 1 }, (_, i) => counts[i] ?? 0);

describe('the counters', () => {
  it('count requests by method and status, refusals by reason', () => {
    const counters = new Counters();
    for (const [method, status, ms] of [
      ['GET', 200, 0.2],
      ['GET', 200, 1],
      ['GET', 404, 1.001],
      ['POST', 200, 60_000],
    ] as const)
      counters.request(method, status, ms);
    counters.rejected('timeout');
    counters.rejected('malformed');
    counters.rejected('timeout');
    const { requests, rejected } = counters.take();
    assert.deepEqual(rejected, { timeout: 2, malformed: 1 });
    assert.deepEqual(Object.keys(requests), ['GET', 'POST']);
    assert.deepEqual(requests.GET?.codes, { 200: 2, 404: 1 });
    assert.deepEqual(requests.GET?.buckets, inBuckets({ 0: 2, 1: 1 }), 'a bound belongs to its bucket');
    assert.deepEqual(requests.POST?.buckets, inBuckets({ [REQUEST_BUCKETS.length]: 1 }));
    assert.ok(Math.abs((requests.GET?.seconds ?? 0) - 0.002201) < 1e-12);
    assert.equal(requests.POST?.seconds, 60);
    assert.equal(counters.served, 4);
  });

  it('fold methods and codes that clients and apps make up', () => {
    const counters = new Counters();
    for (const method of ['M-SEARCH', 'PROPFIND', 'ACL']) counters.request(method, 200, 1);
    for (const status of [200, 299, 499, 555, 999]) counters.request('PATCH', status, 1);
    const { requests } = counters.take();
    assert.deepEqual(requests.other?.codes, { 200: 3 });
    assert.deepEqual(requests.PATCH?.codes, { 200: 1, 499: 1, other: 3 });
  });

  it('restart at each report, except for requests served', () => {
    const counters = new Counters();
    counters.request('GET', 200, 3);
    counters.request('ACL', 200, 3);
    counters.rejected('malformed');
    counters.take();
    assert.deepEqual(counters.take(), { requests: {}, rejected: {} });
    counters.request('GET', 500, 3);
    assert.deepEqual(counters.take(), {
      requests: { GET: { codes: { 500: 1 }, buckets: inBuckets({ 2: 1 }), seconds: 0.003 } },
      rejected: {},
    });
    assert.equal(counters.served, 3);
  });

  it('give a report that later counts do not change', () => {
    const counters = new Counters();
    counters.request('GET', 200, 1);
    const report = counters.take();
    counters.request('GET', 200, 1);
    counters.take();
    assert.deepEqual(report.requests.GET?.codes, { 200: 1 });
    assert.deepEqual(report.requests.GET?.buckets, inBuckets({ 0: 1 }));
  });

  it('accept what cannot be a status', () => {
    const counters = new Counters();
    for (const status of [1000, -1, 99_999, 2.5, Number.NaN, Number.POSITIVE_INFINITY])
      counters.request('GET', status, 1);
    assert.deepEqual(counters.take().requests.GET?.codes, {});
  });
});
