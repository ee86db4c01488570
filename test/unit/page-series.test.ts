/** What the live page makes of successive answers of /status. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { append, between, type Point, quantile, sameArbiter, WINDOW_SECONDS } from '../../src/admin/page/series.ts';
import type { Status } from '../../src/admin/status.ts';
import { STATUS } from './status-kit.ts';

const at = (seconds: number, change: Partial<Status> = {}): Status => ({ ...STATUS, seconds, ...change });
const totals = (requests: Record<string, number>, counts: number[] = [0, 0, 0]) => ({
  totals: { ...STATUS.totals, requests, latency: { bounds: [0.1, 1], counts } },
});
const cgroup = (cpuPeriods: number | null, cpuThrottledPeriods: number | null) => ({
  cgroup: { ...STATUS.cgroup, cpuPeriods, cpuThrottledPeriods },
});

describe('between two answers', () => {
  it('rates are by the time that passed', () => {
    const point = between(at(10, totals({ '2xx': 100, '5xx': 1 })), at(14, totals({ '2xx': 190, '4xx': 6, '5xx': 5 })));
    assert.equal(point?.at, 14);
    assert.equal(point?.requests, 25);
    assert.equal(point?.errors, 1);
  });

  it('latency is of the requests in between alone', () => {
    const point = between(at(0, totals({}, [1_000, 0, 0])), at(2, totals({}, [1_000, 10, 0])));
    assert.equal(point?.p50, 0.55);
    assert.ok(Math.abs((point?.p99 ?? 0) - 0.991) < 1e-9);
    const none = between(at(0, totals({}, [5, 0, 0])), at(2, totals({}, [5, 0, 0])));
    assert.deepEqual([none?.p50, none?.p99], [null, null]);
  });

  const throttling: [string, [number | null, number | null], [number | null, number | null], number | null][] = [
    ['a quarter', [100, 10], [120, 15], 0.25],
    ['nothing ran', [100, 10], [100, 10], 0],
    ['not counted', [null, null], [null, null], null],
    ['it appeared', [null, null], [10, 1], null],
  ];
  for (const [name, before, after, share] of throttling) {
    it(`throttling: ${name}`, () => {
      assert.equal(between(at(0, cgroup(...before)), at(2, cgroup(...after)))?.throttled, share);
    });
  }

  it('throttling: without a quota there is none', () => {
    const sizing = { ...STATUS.sizing, limits: { ...STATUS.sizing.limits, quotaCores: null } };
    assert.equal(between(at(0, { ...cgroup(0, 0), sizing }), at(2, { ...cgroup(0, 0), sizing }))?.throttled, null);
  });

  it('there is no point for the same moment, an earlier one, or another arbiter', () => {
    assert.equal(between(at(5), at(5)), undefined);
    assert.equal(between(at(5), at(4)), undefined);
    assert.equal(between(at(5, { pid: 7 }), at(6, { pid: 8 })), undefined);
    assert.equal(sameArbiter(at(5), at(4)), false, 'in a container always pid 1');
    assert.equal(sameArbiter(at(5), at(5)), true);
  });
});

describe('quantile', () => {
  const rows: [name: string, counts: number[], q: number, value: number | null][] = [
    ['nothing', [0, 0, 0], 0.5, null],
    ['within the first bucket', [10, 0, 0], 0.5, 0.05],
    ['at a bound', [10, 10, 0], 0.5, 0.1],
    ['within the second bucket', [0, 10, 0], 0.5, 0.55],
    ['beyond the last bound', [1, 0, 9], 0.99, 1],
    ['past an empty bucket', [5, 0, 5], 0.2, 0.04],
  ];
  for (const [name, counts, q, value] of rows) {
    it(name, () => {
      const found = quantile({ bounds: [0.1, 1], counts }, q);
      if (value === null) assert.equal(found, null);
      else assert.ok(Math.abs((found ?? Number.NaN) - value) < 1e-12, `${found}`);
    });
  }
});

it('points that no chart shows are dropped', () => {
  const point = (time: number): Point => ({ at: time, requests: 0, errors: 0, p50: null, p99: null, throttled: null });
  let points: Point[] = [];
  for (let time = 0; time <= 10_000; time += 2) points = append(points, point(time));
  assert.equal(points.length, WINDOW_SECONDS / 2);
  assert.equal(points.at(-1)?.at, 10_000);
  assert.ok((points[0]?.at ?? 0) > 10_000 - WINDOW_SECONDS);
});
