import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Death, RestartBackoff } from '../../src/arbiter/pool/restart-policy.ts';

const MINUTE = 60_000;

describe('failures to boot', () => {
  it('put off the next try, each longer than the one before, ten seconds at most', () => {
    const backoff = new RestartBackoff(5);
    assert.equal(backoff.retryAt, Number.NEGATIVE_INFINITY);
    const waits = Array.from({ length: 12 }, (_, i) => {
      const now = i * 1_000_000;
      backoff.bootFailed(now);
      return backoff.retryAt - now;
    });
    assert.deepEqual(waits, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000, 10_000, 10_000]);
  });

  it('stay at ten seconds however many there are', () => {
    const backoff = new RestartBackoff(5);
    for (let i = 0; i < 5000; i++) backoff.bootFailed(0);
    assert.equal(backoff.retryAt, 10_000);
  });

  it('reach the limit in a row alone', () => {
    const backoff = new RestartBackoff(3);
    const reached = ['fail', 'fail', 'booted', 'fail', 'fail', 'reset', 'fail', 'fail', 'fail', 'fail'].map((what) => {
      if (what === 'fail') backoff.bootFailed(0);
      else if (what === 'booted') backoff.booted();
      else backoff.reset();
      return backoff.bootLimitReached;
    });
    assert.deepEqual(reached, [false, false, false, false, false, false, false, false, true, true]);
  });

  it('are over when a worker boots, or when a person asks for a new try', () => {
    for (const end of ['booted', 'reset'] as const) {
      const backoff = new RestartBackoff(5);
      for (let i = 0; i < 4; i++) backoff.bootFailed(0);
      backoff[end]();
      assert.equal(backoff.retryAt, Number.NEGATIVE_INFINITY);
      backoff.bootFailed(0);
      assert.equal(backoff.retryAt, 100, `${end}: and the next wait is the first again`);
    }
  });
});

/** Of a worker that had lived. */
function death(given: Partial<Death> = {}): Death {
  return { workerId: 1, slot: 0, early: false, alone: false, why: 'exit code 1', ...given };
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
      const backoff = new RestartBackoff(crashLimit);
      for (const at of times) backoff.died(death({ why: `at ${at}` }), at);
      const why = `${5 * crashLimit} workers died within a minute, the last: at ${times.at(-1)}`;
      assert.equal(backoff.verdict(now), reached ? why : undefined, `${crashLimit} ${times} ${now}`);
    }
  });

  it('are not failures to boot, nor the other way round', () => {
    const backoff = new RestartBackoff(1);
    for (let i = 0; i < 10; i++) backoff.died(death(), 0);
    assert.equal(backoff.bootLimitReached, false);
    assert.equal(backoff.retryAt, Number.NEGATIVE_INFINITY);
    const other = new RestartBackoff(1);
    for (let i = 0; i < 10; i++) other.bootFailed(0);
    assert.equal(other.verdict(0), undefined);
  });

  it('no longer count when a person asks for a new try', () => {
    const backoff = new RestartBackoff(1);
    for (let i = 0; i < 4; i++) backoff.died(death({ early: true, alone: true }), 0);
    backoff.reset();
    assert.equal(backoff.earlyInARow, 0);
    backoff.died(death({ early: true, alone: true }), 1);
    assert.equal(backoff.verdict(1), undefined);
    assert.equal(backoff.slotRetryAt(0), 1);
  });
});

describe('early deaths', () => {
  const early = (given: Partial<Death> = {}) => death({ early: true, ...given });

  it('put off the next try in their slot and for replacements, not in other slots', () => {
    const backoff = new RestartBackoff(5);
    const waits = Array.from({ length: 10 }, (_, i) => {
      const now = i * 1_000_000;
      backoff.died(early({ slot: 3 }), now);
      assert.equal(backoff.slotRetryAt(0), Number.NEGATIVE_INFINITY);
      assert.equal(backoff.replaceAt, backoff.slotRetryAt(3));
      assert.equal(
        backoff.nextRetry(now),
        backoff.slotRetryAt(3) > now ? backoff.slotRetryAt(3) : Number.POSITIVE_INFINITY,
      );
      return backoff.slotRetryAt(3) - now;
    });
    assert.deepEqual(waits, [0, 100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
  });

  it('wait for failures to boot as well', () => {
    const backoff = new RestartBackoff(5);
    backoff.died(early(), 0);
    backoff.bootFailed(0);
    assert.deepEqual(
      [backoff.slotRetryAt(0), backoff.slotRetryAt(1), backoff.replaceAt, backoff.nextRetry(0)],
      [100, 100, 100, 100],
    );
  });

  it('are in a row until each of their slots has a younger worker that is stable', () => {
    const backoff = new RestartBackoff(5);
    backoff.died(early({ slot: 0, workerId: 5 }), 0);
    backoff.died(early({ slot: 1, workerId: 6 }), 0);
    backoff.stable(0, 4);
    backoff.stable(2, 9);
    backoff.stable(1, 7);
    assert.equal(backoff.earlyInARow, 2);
    backoff.stable(0, 8);
    assert.deepEqual([backoff.earlyInARow, backoff.replaceAt], [0, Number.NEGATIVE_INFINITY]);
    backoff.died(early({ slot: 1, workerId: 7 }), 1000);
    assert.equal(backoff.slotRetryAt(1), 1000);
  });

  it('are over where the slot is gone, or needs no other worker', () => {
    for (const end of ['dropSlots', 'settled'] as const) {
      const backoff = new RestartBackoff(5);
      for (const slot of [1, 2]) backoff.died(early({ slot }), 0);
      backoff[end](2);
      assert.equal(backoff.earlyInARow, 2);
      backoff[end](1);
      assert.equal(backoff.earlyInARow, 0, end);
    }
  });

  it('reach the limit in a row, at any pace, where no stable worker served', () => {
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
      const backoff = new RestartBackoff(1);
      let now = 0;
      for (const [i, what] of [...said].entries()) {
        now += 20_000;
        if (what === 'p') backoff.stable(0, i);
        else backoff.died(death({ early: what !== 'o', alone: what === 'a', workerId: i }), now);
      }
      const why = '5 workers in a row died within 5 s of readiness, the last: exit code 1';
      assert.equal(backoff.verdict(now), reached ? why : undefined, said);
    }
  });
});
