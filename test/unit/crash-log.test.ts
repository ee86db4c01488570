import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CrashLog } from '../../src/arbiter/crash-log.ts';

const MINUTE = 60_000;

describe('failures to boot', () => {
  it('put off the next try, each longer than the one before, ten seconds at most', () => {
    const log = new CrashLog(5);
    assert.equal(log.retryAt, Number.NEGATIVE_INFINITY);
    const waits = Array.from({ length: 12 }, (_, i) => {
      const now = i * 1_000_000;
      log.failedToBoot(now);
      return log.retryAt - now;
    });
    assert.deepEqual(waits, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000, 10_000, 10_000]);
  });

  it('stay at ten seconds however many there are', () => {
    const log = new CrashLog(5);
    for (let i = 0; i < 5000; i++) log.failedToBoot(0);
    assert.equal(log.retryAt, 10_000);
  });

  it('reach the limit in a row alone', () => {
    const log = new CrashLog(3);
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
      const log = new CrashLog(5);
      for (let i = 0; i < 4; i++) log.failedToBoot(0);
      log[end]();
      assert.equal(log.retryAt, Number.NEGATIVE_INFINITY);
      log.failedToBoot(0);
      assert.equal(log.retryAt, 100, `${end}: and the next wait is the first again`);
    }
  });
});

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
      const log = new CrashLog(crashLimit);
      for (const at of times) log.died(at);
      assert.equal(log.limitReached(now), reached, `${crashLimit} ${times} ${now}`);
      assert.equal(log.limit, 5 * crashLimit);
    }
  });

  it('are not failures to boot, nor the other way round', () => {
    const log = new CrashLog(1);
    for (let i = 0; i < 10; i++) log.died(0);
    assert.equal(log.bootLimitReached, false);
    assert.equal(log.retryAt, Number.NEGATIVE_INFINITY);
    const other = new CrashLog(1);
    for (let i = 0; i < 10; i++) other.failedToBoot(0);
    assert.equal(other.limitReached(0), false);
  });

  it('no longer count when a person asks for a new try', () => {
    const log = new CrashLog(1);
    for (let i = 0; i < 4; i++) log.died(0);
    log.forgive();
    log.died(1);
    assert.equal(log.limitReached(1), false);
  });
});
