import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Tally } from '../../src/worker/tally.ts';

describe('the tally', () => {
  it('counts requests by method and status, refusals by reason', () => {
    const tally = new Tally();
    for (const [method, status] of [
      ['GET', 200],
      ['GET', 200],
      ['GET', 404],
      ['POST', 200],
      ['M-SEARCH', 100],
      ['GET', 999],
    ] as const)
      tally.request(method, status);
    tally.rejected('timeout');
    tally.rejected('malformed');
    tally.rejected('timeout');
    assert.deepEqual(tally.take(), {
      requests: { 'GET 200': 2, 'GET 404': 1, 'GET 999': 1, 'POST 200': 1, 'M-SEARCH 100': 1 },
      rejected: { timeout: 2, malformed: 1 },
    });
  });

  it('counts from the last report on', () => {
    const tally = new Tally();
    tally.request('GET', 200);
    tally.rejected('malformed');
    tally.take();
    assert.deepEqual(tally.take(), { requests: {}, rejected: {} });
    tally.request('GET', 200);
    tally.request('GET', 500);
    assert.deepEqual(tally.take(), { requests: { 'GET 200': 1, 'GET 500': 1 }, rejected: {} });
  });

  it('gives a report that later counts leave alone', () => {
    const tally = new Tally();
    tally.request('GET', 200);
    const report = tally.take();
    tally.request('GET', 200);
    tally.take();
    assert.deepEqual(report.requests, { 'GET 200': 1 });
  });

  it('takes what cannot be a status without a word', () => {
    const tally = new Tally();
    for (const status of [1000, -1, 99_999, 2.5, Number.NaN, Number.POSITIVE_INFINITY]) tally.request('GET', status);
    assert.deepEqual(tally.take(), { requests: {}, rejected: {} });
  });
});
