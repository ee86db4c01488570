import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Decision } from '../../src/arbiter/pool/decisions.ts';
import { Lifecycle } from '../../src/arbiter/pool/lifecycle.ts';
import { RestartPolicy } from '../../src/arbiter/pool/restart-policy.ts';
import { type PoolContext, PoolWorker, PoolWorkers, STABILITY_MS } from '../../src/arbiter/pool/worker.ts';
import { SETTINGS } from './pool-story.ts';

const MINUTE = 60_000;
const EXIT = { why: 'exit code 1', fatal: false };

/** A restart policy that has seen all workers ready once, and what it is told about. */
class Case {
  readonly decisions: Decision[] = [];
  readonly workers = new PoolWorkers();
  readonly policy: RestartPolicy;
  readonly #context: PoolContext;
  readonly #lifecycle: Lifecycle;

  constructor(crashLimit: number) {
    const settings = { ...SETTINGS, crashLimit };
    this.#context = { settings, wanted: settings, workers: this.workers, decisions: this.decisions };
    this.#lifecycle = new Lifecycle(this.#context);
    this.policy = new RestartPolicy(this.#context, this.#lifecycle);
  }

  worker({ workerId = 1, slot = 0 }): PoolWorker {
    return new PoolWorker(workerId, slot, 0, { ...this.#context, decisions: [] });
  }

  bootFailed(now: number, slot = 0): void {
    this.policy.exited(this.worker({ slot }), EXIT, true, now);
  }

  /** Of a worker that had been ready for as long as makes it stable, or that was ready just now. */
  died(now: number, { early = false, alone = false, why = EXIT.why, ...which }: Death = {}): void {
    const worker = this.worker(which);
    worker.ready(early ? now : now - STABILITY_MS);
    if (!alone) this.#serves(now, 99, 99);
    this.policy.died(worker, why, now);
    this.workers.delete(99);
  }

  /** A worker has been ready in this slot for so long. */
  stable(now: number, slot: number, workerId: number): void {
    this.#serves(now, slot, workerId);
    this.policy.due(now);
    this.workers.delete(workerId);
  }

  #serves(now: number, slot: number, workerId: number): void {
    const worker = this.worker({ slot, workerId });
    worker.ready(now - STABILITY_MS);
    worker.heartbeat(now);
    this.workers.set(workerId, worker);
  }

  get givenUp(): boolean {
    return this.#lifecycle.phase !== 'serving';
  }

  /** What the server ends with, if it is given up. */
  verdict(now: number): string | undefined {
    this.policy.due(now);
    if (this.givenUp) this.#lifecycle.advance(now);
    return this.decisions.flatMap((d) => (d.do === 'halt' ? [d.why] : []))[0];
  }
}

interface Death {
  readonly workerId?: number;
  readonly slot?: number;
  readonly early?: boolean;
  /** No stable worker served. */
  readonly alone?: boolean;
  readonly why?: string;
}

describe('failures to boot', () => {
  it('put off the next try, each longer than the one before, ten seconds at most', () => {
    const test = new Case(1000);
    assert.equal(test.policy.slotRetryAt(9), Number.NEGATIVE_INFINITY);
    const waits = Array.from({ length: 12 }, (_, i) => {
      const now = i * 1_000_000;
      test.bootFailed(now);
      return test.policy.slotRetryAt(9) - now;
    });
    assert.deepEqual(waits, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000, 10_000, 10_000]);
  });

  it('stay at ten seconds however many there are', () => {
    const test = new Case(10_000);
    for (let i = 0; i < 5000; i++) test.bootFailed(0);
    assert.equal(test.policy.slotRetryAt(9), 10_000);
  });

  it('reach the limit in a row alone', () => {
    const test = new Case(3);
    const reached = ['fail', 'fail', 'booted', 'fail', 'fail', 'reset', 'fail', 'fail', 'fail', 'fail'].map((what) => {
      if (what === 'fail') test.bootFailed(0);
      else if (what === 'booted') test.policy.booted();
      else test.policy.reset();
      return test.givenUp;
    });
    assert.deepEqual(reached, [false, false, false, false, false, false, false, false, true, true]);
  });

  it('are over when a worker boots, or when a person asks for a new try', () => {
    for (const end of ['booted', 'reset'] as const) {
      const test = new Case(5);
      for (let i = 0; i < 4; i++) test.bootFailed(0);
      test.policy[end]();
      assert.equal(test.policy.slotRetryAt(9), Number.NEGATIVE_INFINITY);
      test.bootFailed(0);
      assert.equal(test.policy.slotRetryAt(9), 100, `${end}: and the next wait is the first again`);
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
      const test = new Case(crashLimit);
      for (const at of times) test.died(at, { why: `at ${at}` });
      const why = `${5 * crashLimit} workers died within a minute, the last: at ${times.at(-1)}`;
      assert.equal(test.verdict(now), reached ? why : undefined, `${crashLimit} ${times} ${now}`);
    }
  });

  it('are not failures to boot, nor the other way round', () => {
    const test = new Case(1);
    for (let i = 0; i < 10; i++) test.died(0);
    assert.equal(test.givenUp, false);
    assert.equal(test.policy.slotRetryAt(9), Number.NEGATIVE_INFINITY);
    const other = new Case(11);
    for (let i = 0; i < 10; i++) other.bootFailed(0);
    assert.equal(other.verdict(0), undefined);
  });

  it('no longer count when a person asks for a new try', () => {
    const test = new Case(1);
    for (let i = 0; i < 4; i++) test.died(0, { early: true, alone: true });
    test.policy.reset();
    assert.equal(test.policy.earlyInARow, 0);
    test.died(1, { early: true, alone: true });
    assert.equal(test.verdict(1), undefined);
    assert.equal(test.policy.slotRetryAt(0), 1);
  });
});

describe('early deaths', () => {
  it('put off the next try in their slot and for replacements, not in other slots', () => {
    const test = new Case(5);
    const { policy } = test;
    const waits = Array.from({ length: 10 }, (_, i) => {
      const now = i * 1_000_000;
      test.died(now, { early: true, slot: 3 });
      assert.equal(policy.slotRetryAt(0), Number.NEGATIVE_INFINITY);
      assert.equal(policy.replaceAt, policy.slotRetryAt(3));
      assert.equal(
        policy.nextRetry(now),
        policy.slotRetryAt(3) > now ? policy.slotRetryAt(3) : Number.POSITIVE_INFINITY,
      );
      return policy.slotRetryAt(3) - now;
    });
    assert.deepEqual(waits, [0, 100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
  });

  it('wait for failures to boot as well', () => {
    const test = new Case(5);
    const { policy } = test;
    test.died(0, { early: true });
    test.bootFailed(0);
    const times = [policy.slotRetryAt(0), policy.slotRetryAt(1), policy.replaceAt, policy.nextRetry(0)];
    assert.deepEqual(times, [100, 100, 100, 100]);
  });

  it('are in a row until each of their slots has a later worker that is stable', () => {
    const test = new Case(5);
    const { policy } = test;
    test.died(0, { early: true, slot: 0, workerId: 5 });
    test.died(0, { early: true, slot: 1, workerId: 6 });
    test.stable(0, 0, 4);
    test.stable(0, 2, 9);
    test.stable(0, 1, 7);
    assert.equal(policy.earlyInARow, 2);
    test.stable(0, 0, 8);
    assert.deepEqual([policy.earlyInARow, policy.replaceAt], [0, Number.NEGATIVE_INFINITY]);
    test.died(1000, { early: true, slot: 1, workerId: 7 });
    assert.equal(policy.slotRetryAt(1), 1000);
  });

  it('are over where the slot is gone', () => {
    const test = new Case(5);
    for (const slot of [1, 2]) test.died(0, { early: true, slot });
    test.policy.dropSlots(2);
    assert.equal(test.policy.earlyInARow, 2);
    test.policy.dropSlots(1);
    assert.equal(test.policy.earlyInARow, 0);
  });

  it('are over where an older worker goes on, as the reload is given up', () => {
    for (const [slots, row] of [
      [[1], 2],
      [[1, 2], 0],
    ] as const) {
      const test = new Case(5);
      for (const slot of [1, 2]) test.died(0, { early: true, slot });
      for (const slot of slots) {
        const old = test.worker({ workerId: slot, slot });
        old.ready(0);
        test.workers.set(slot, old);
      }
      test.workers.generation = 2;
      test.bootFailed(0, 1);
      assert.deepEqual(test.decisions.at(-1), { do: 'give-up-reload', why: 'exit code 1' });
      assert.equal(test.policy.earlyInARow, row);
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
      const test = new Case(1);
      let now = 0;
      for (const [i, what] of [...said].entries()) {
        now += 20_000;
        if (what === 'p') test.stable(now, 0, i);
        else test.died(now, { early: what !== 'o', alone: what === 'a', workerId: i });
      }
      const why = '5 workers in a row died within 5 s of readiness, the last: exit code 1';
      assert.equal(test.verdict(now), reached ? why : undefined, said);
    }
  });
});
