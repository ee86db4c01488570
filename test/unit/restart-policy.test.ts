import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Death, RestartPolicy } from '../../src/arbiter/pool/restart-policy.ts';

const MINUTE = 60_000;

describe('failures to boot', () => {
  it('put off the next try, each longer than the one before, ten seconds at most', () => {
    const log = new RestartPolicy(5);
    assert.equal(log.retryAt, Number.NEGATIVE_INFINITY);
    const waits = Array.from({ length: 12 }, (_, i) => {
      const now = i * 1_000_000;
      log.failedToBoot(now);
      return log.retryAt - now;
    });
    assert.deepEqual(waits, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000, 10_000, 10_000]);
  });

  it('stay at ten seconds however many there are', () => {
    const log = new RestartPolicy(5);
    for (let i = 0; i < 5000; i++) log.failedToBoot(0);
    assert.equal(log.retryAt, 10_000);
  });

  it('reach the limit in a row alone', () => {
    const log = new RestartPolicy(3);
    const reached = ['fail', 'fail', 'booted', 'fail', 'fail', 'forgive', 'fail', 'fail', 'fail', 'fail'].map(
      (what) => {
        if (what === 'fail') log.failedToBoot(0);
        else if (what === 'booted') log.booted();
        else log.forgive();
        return log.bootLimitReached;
      },
    );
    assert.deepEqual(reached, [false, false, false, false, false, false, false, false, true, true]);
  });

  it('are over when a worker boots, or when a person asks for a new try', () => {
    for (const end of ['booted', 'forgive'] as const) {
      const log = new RestartPolicy(5);
      for (let i = 0; i < 4; i++) log.failedToBoot(0);
      log[end]();
      assert.equal(log.retryAt, Number.NEGATIVE_INFINITY);
      log.failedToBoot(0);
      assert.equal(log.retryAt, 100, `${end}: and the next wait is the first again`);
    }
  });
});

/** Of a worker that had lived. */
function death(given: Partial<Death> = {}): Death {
  return { workerId: 1, slot: 0, young: false, alone: false, why: 'exit code 1', ...given };
}

describe('deaths of ready workers', () => {
  it('reach five times the crash limit within a minute', () => {
    const rows: [crashLimit: number, times: number[], now: number, reached: boolean][] = [
      [1, [], 0, false],
      [1, [0, 0, 0, 0], 0, false],
      [1, [0, 0, 0, 0, 0], 0, true],
      [1, [0, 1, 2, 3, 4], MINUTE - 1, true],
      [1, [0, 1, 2, 3, 4], MINUTE, false],
      [1, [0, 20_000, 40_000, 59_000, MINUTE], MINUTE, false],
      [1, [0, 20_000, 40_000, 50_000, 55_000, MINUTE], MINUTE, true],
      [2, Array.from({ length: 9 }, () => 5), 10, false],
      [2, Array.from({ length: 10 }, () => 5), 10, true],
    ];
    for (const [crashLimit, times, now, reached] of rows) {
      const log = new RestartPolicy(crashLimit);
      for (const at of times) log.died(death({ why: `at ${at}` }), at);
      const why = `${5 * crashLimit} workers died within a minute, the last: at ${times.at(-1)}`;
      assert.equal(log.verdict(now), reached ? why : undefined, `${crashLimit} ${times} ${now}`);
    }
  });

  it('are not failures to boot, nor the other way round', () => {
    const log = new RestartPolicy(1);
    for (let i = 0; i < 10; i++) log.died(death(), 0);
    assert.equal(log.bootLimitReached, false);
    assert.equal(log.retryAt, Number.NEGATIVE_INFINITY);
    const other = new RestartPolicy(1);
    for (let i = 0; i < 10; i++) other.failedToBoot(0);
    assert.equal(other.verdict(0), undefined);
  });

  it('no longer count when a person asks for a new try', () => {
    const log = new RestartPolicy(1);
    for (let i = 0; i < 4; i++) log.died(death({ young: true, alone: true }), 0);
    log.forgive();
    assert.equal(log.youngInARow, 0);
    log.died(death({ young: true, alone: true }), 1);
    assert.equal(log.verdict(1), undefined);
    assert.equal(log.slotRetryAt(0), 1);
  });
});

describe('young deaths', () => {
  const young = (given: Partial<Death> = {}) => death({ young: true, ...given });

  it('put off the next try in their slot and for replacements, not in other slots', () => {
    const log = new RestartPolicy(5);
    const waits = Array.from({ length: 10 }, (_, i) => {
      const now = i * 1_000_000;
      log.died(young({ slot: 3 }), now);
      assert.equal(log.slotRetryAt(0), Number.NEGATIVE_INFINITY);
      assert.equal(log.replaceAt, log.slotRetryAt(3));
      assert.equal(log.nextRetry(now), log.slotRetryAt(3) > now ? log.slotRetryAt(3) : Number.POSITIVE_INFINITY);
      return log.slotRetryAt(3) - now;
    });
    assert.deepEqual(waits, [0, 100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
  });

  it('wait for failures to boot as well', () => {
    const log = new RestartPolicy(5);
    log.died(young(), 0);
    log.failedToBoot(0);
    assert.deepEqual([log.slotRetryAt(0), log.slotRetryAt(1), log.replaceAt, log.nextRetry(0)], [100, 100, 100, 100]);
  });

  it('are in a row until each of their slots has a younger worker that has proven itself', () => {
    const log = new RestartPolicy(5);
    log.died(young({ slot: 0, workerId: 5 }), 0);
    log.died(young({ slot: 1, workerId: 6 }), 0);
    log.proved(0, 4);
    log.proved(2, 9);
    log.proved(1, 7);
    assert.equal(log.youngInARow, 2);
    log.proved(0, 8);
    assert.deepEqual([log.youngInARow, log.replaceAt], [0, Number.NEGATIVE_INFINITY]);
    log.died(young({ slot: 1, workerId: 7 }), 1000);
    assert.equal(log.slotRetryAt(1), 1000);
  });

  it('are over where the slot is gone, or needs no other worker', () => {
    for (const end of ['cut', 'settled'] as const) {
      const log = new RestartPolicy(5);
      for (const slot of [1, 2]) log.died(young({ slot }), 0);
      log[end](2);
      assert.equal(log.youngInARow, 2);
      log[end](1);
      assert.equal(log.youngInARow, 0, end);
    }
  });

  it('reach the limit in a row, at any pace, where nobody served who had proven himself', () => {
    const rows: [said: string, reached: boolean][] = [
      ['aaaaa', true],
      ['aaaa', false],
      ['aaasaa', false],
      ['saaaaa', true],
      ['aaapaa', false],
      ['aaapaaaaa', true],
      ['aaaaooooo', false],
    ];
    for (const [said, reached] of rows) {
      const log = new RestartPolicy(1);
      let now = 0;
      for (const [i, what] of [...said].entries()) {
        now += 20_000;
        if (what === 'p') log.proved(0, i);
        else log.died(death({ young: what !== 'o', alone: what === 'a', workerId: i }), now);
      }
      const why = '5 workers in a row died within 5 s of being ready, the last: exit code 1';
      assert.equal(log.verdict(now), reached ? why : undefined, said);
    }
  });
});
