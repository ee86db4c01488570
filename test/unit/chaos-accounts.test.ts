import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { answersIn, compare, linesAmiss, unexplained } from '../chaos/accounts.ts';
import { type Failure, Results } from '../chaos/clients.ts';

const DEATHS = [{ pid: 7, at: 10_000 }];
const BURSTS = [
  { from: 50_000, to: 53_000 },
  { from: 70_000, to: 73_000 },
];
const STOPS = [{ from: 72_000, to: 76_000 }];

describe('a failure of the chaos test', () => {
  for (const [what, failure, explained] of [
    ['with the worker that was killed', { pid: 7, from: 9_900, at: 10_001 }, true],
    ['with it, sent before the client knew of it', { pid: 7, from: 10_001, at: 10_002 }, true],
    ['with another worker', { pid: 8, from: 9_900, at: 10_001 }, false],
    ['with it, long before', { pid: 7, from: 5_000, at: 5_001 }, false],
    ['on a new connection as it was killed', { pid: undefined, from: 9_900, at: 10_001 }, true],
    ['on a new connection after that', { pid: undefined, from: 10_001, at: 10_002 }, false],
    ['on a new connection without descriptors', { pid: undefined, from: 51_000, at: 51_001 }, true],
    ['on an old connection without descriptors', { pid: 8, from: 51_000, at: 51_001 }, false],
    ['on a new connection long after that', { pid: undefined, from: 51_000, at: 55_000 }, false],
    ['on one to a worker that was stopped then', { pid: undefined, from: 72_500, at: 77_000 }, true],
    ['on one long after that', { pid: undefined, from: 72_500, at: 78_000 }, false],
    ['that was not answered in time', { pid: 7, from: 9_900, at: 10_001, cause: 'no answer in time' }, false],
    ['to connect', { pid: undefined, from: 9_900, at: 10_001, cause: 'connect ECONNREFUSED' }, false],
  ] as const) {
    it(`${what} is ${explained ? 'accounted for' : 'lost'}`, () => {
      const one: Failure = { client: 'short', method: 'GET', cause: 'ended', ...failure };
      assert.deepEqual(unexplained([one], DEATHS, BURSTS, STOPS), explained ? [] : [one]);
    });
  }
});

describe('the counters against the clients', () => {
  const GET = 'method="GET",code="200"';
  const POST = 'method="POST",code="200"';
  const LATE: Failure = { client: 'short', method: 'GET', cause: 'ended', pid: 7, from: 9_900, at: 10_001 };

  /** Two answers of worker 7 long before it died, then one of each kind, and as many of worker 8. */
  function results(t: TestContext, ...failures: Failure[]): Results {
    t.mock.timers.enable({ apis: ['Date'], now: 5_000 });
    const kept = new Results();
    for (const method of ['GET', 'POST']) for (const pid of [7, 8]) kept.answered(method, 200, pid);
    t.mock.timers.setTime(9_900);
    for (const method of ['GET', 'POST']) for (const pid of [7, 8]) kept.answered(method, 200, pid);
    kept.failures.push(...failures);
    return kept;
  }

  for (const [what, counted, failures, wrong] of [
    ['agree', { [GET]: 4, [POST]: 4 }, [], []],
    ['may lack what a killed worker answered last', { [GET]: 3, [POST]: 3 }, [], []],
    ['may lack no more', { [GET]: 2, [POST]: 4 }, [], [GET]],
    ['may not lack of one what they have too many of another', { [GET]: 2, [POST]: 6 }, [LATE, LATE], [GET, POST]],
    ['may exceed by what their clients have as failed', { [GET]: 5, [POST]: 4 }, [LATE], []],
    ['may not exceed by more', { [GET]: 6, [POST]: 4 }, [LATE], [GET]],
    ['may not exceed by what failed otherwise', { [GET]: 5, [POST]: 4 }, [{ ...LATE, at: 90_000 }], [GET]],
    ['may not exceed by what failed with another method', { [GET]: 4, [POST]: 5 }, [LATE], [POST]],
    [
      'may not have what no client has seen',
      { [GET]: 4, [POST]: 4, 'method="PUT",code="200"': 1 },
      [],
      ['method="PUT",code="200"'],
    ],
    ['may not lack a series', { [GET]: 4 }, [], [POST]],
  ] as const) {
    it(`${what}: ${wrong.length === 0 ? 'right' : 'wrong'}`, (t) => {
      const compared = compare(results(t, ...failures), counted, DEATHS);
      assert.deepEqual(
        compared.filter(({ agrees }) => !agrees).map(({ labels }) => labels),
        wrong,
      );
    });
  }

  it('say by how much they may differ', (t) => {
    const [get] = compare(results(t, LATE), { [GET]: 4, [POST]: 4 }, DEATHS);
    assert.deepEqual(get, { labels: GET, clients: 4, server: 4, mayLack: 1, mayExceed: 1, agrees: true });
  });

  it('are found among all that is scraped', () => {
    const series = { [`tsunicorn_http_requests_total{${GET}}`]: 4, tsunicorn_draining: 0 };
    assert.deepEqual(answersIn(series), { [GET]: 4 });
  });
});

describe('the lines of the log', () => {
  for (const [what, results, reader, disk, wrong] of [
    ['a reader that stopped has missed some', { throws: 9, read: 5, dropped: 4 }, true, false, 0],
    ['some were lost with a worker, and not counted', { throws: 9, read: 5, dropped: 1 }, true, false, 0],
    ['it has missed none', { throws: 9, read: 9, dropped: 4 }, true, true, 1],
    ['none was counted', { throws: 9, read: 5, dropped: 0 }, true, false, 1],
    ['a full disk costs some', { throws: 9, read: 9, dropped: 4 }, false, true, 0],
    ['it has cost none', { throws: 9, read: 9, dropped: 0 }, false, true, 1],
    ['nothing was done to them', { throws: 9, read: 9, dropped: 0 }, false, false, 0],
    ['some were dropped all the same', { throws: 9, read: 9, dropped: 1 }, false, false, 1],
  ] as const) {
    it(`${what}: ${wrong === 0 ? 'right' : 'wrong'}`, () => {
      assert.equal(linesAmiss(results, reader, disk).length, wrong);
    });
  }
});
