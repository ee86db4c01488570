import assert from 'node:assert/strict';
import { describe, it, test } from 'node:test';
import { Sizer, type SizerSettings } from '../../src/arbiter/sizer.ts';
import type { Limits } from '../../src/platform/kernel/limits.ts';
import { memoryLimits } from './memory-limits.ts';

const MIB = 2 ** 20;

const SETTINGS: SizerSettings = {
  workers: 'auto',
  workersPerCpu: 1,
  minWorkers: 1,
  maxWorkers: undefined,
  workerMemory: 128 * MIB,
  workerHeap: 'auto',
  maxWorkerRss: 'auto',
  resizeInterval: 5,
};

function limits(quotaCores: number | undefined, memoryMib?: number): Limits {
  const memoryBytes = memoryMib === undefined ? undefined : memoryMib * MIB;
  return { onlineCpus: 8, affinityCpus: 8, cpusetCpus: undefined, quotaCores, memoryBytes, cgroup: 'v2', sources: {} };
}

/**
 * Seconds, what happens, and what follows: the workers and the heap in MiB that are in force from then on, `wait` to
 * shrink, `stay` after that, or nothing. What happens is a quota (and a memory limit in MiB), `TTIN`, `TTOU` or `HUP`.
 */
type Row = readonly [second: number, what: number | readonly [number, number] | 'TTIN' | 'TTOU' | 'HUP', then: string];

function tell(first: Limits, rows: readonly Row[], settings: Partial<SizerSettings> = {}): void {
  const sizer = new Sizer({ ...SETTINGS, ...settings }, first);
  const told = rows.map(([second, what]): Row => {
    const resize = happen(sizer, what, second * 1000);
    const { workers, heapBytes } = resize?.sizing ?? {};
    const then = `${workers}${heapBytes === undefined ? '' : ` of ${heapBytes / MIB}`}`;
    return [
      second,
      what,
      resize === undefined ? '' : workers !== undefined ? then : resize.say.startsWith('still') ? 'stay' : 'wait',
    ];
  });
  assert.deepEqual(told, rows);
}

function happen(sizer: Sizer, what: Row[1], now: number) {
  const { workers } = sizer.inForce;
  if (what === 'TTIN') return sizer.set(workers + 1);
  if (what === 'TTOU') return sizer.set(workers - 1);
  if (what === 'HUP') return sizer.set(undefined);
  return sizer.look(typeof what === 'number' ? limits(what) : limits(...what), now);
}

test('HUP decides by settings that may be new', () => {
  const sizer = new Sizer(SETTINGS, limits(2));
  assert.equal(sizer.set(undefined, { ...SETTINGS, workers: 5 })?.sizing?.workers, 5);
  assert.equal(sizer.look(limits(3), 0)?.sizing?.workers, 5);
  assert.equal(sizer.set(undefined), undefined);
  assert.equal(sizer.set(undefined, SETTINGS)?.sizing?.workers, 3);
});

describe('a limit that changes', () => {
  it('makes more workers at once, fewer after six intervals without a change', () => {
    tell(limits(1), [
      [5, 1, ''],
      [10, 1.5, '2'],
      [15, 1.5, ''],
      [20, 0.5, 'wait'],
      [25, 0.5, ''],
      [49, 0.5, ''],
      [50, 0.5, '1'],
      [55, 0.5, ''],
      [60, 2, '2'],
    ]);
  });

  it('counts as quiet as long as the number stays the same', () => {
    tell(limits(2), [
      [5, 0.5, 'wait'],
      [20, 0.7, ''],
      [35, 0.6, '1'],
    ]);
  });

  it('and comes back in time leaves everything as it is', () => {
    tell(limits(2), [
      [5, 0.5, 'wait'],
      [34, 2, 'stay'],
      [35, 2, ''],
      [40, 0.5, 'wait'],
      [69, 0.5, ''],
      [70, 0.5, '1'],
    ]);
  });

  it('begins to wait anew with another number', () => {
    tell(limits(4), [
      [5, 3, 'wait'],
      [30, 2, 'wait'],
      [35, 2, ''],
      [59, 3, 'wait'],
      [89, 3, '3'],
    ]);
  });

  it('grows beyond also while it waits to shrink', () => {
    tell(limits(2), [
      [5, 1, 'wait'],
      [10, 3, '3'],
      [15, 1, 'wait'],
    ]);
  });

  it('of the memory changes heaps, and the workers that it holds', () => {
    tell(limits(2, 512), [
      [5, [2, 512], ''],
      [10, [2, 1024], '2 of 360'], // 0.75 × (1024 − 64) ÷ 2
      [15, [2, 256], '2 of 72'], // a share at once, and the number later
      [20, [2, 256], ''],
      [30, [2, 200], '2 of 51'],
      [45, [2, 200], '1 of 102'],
    ]);
  });

  it('changes the heaps also where the number is set', () => {
    tell(
      limits(2, 512),
      [
        [5, [1, 512], '3 of 112'], // the quota alone: nothing but how many boot at once
        [10, [1, 1024], '3 of 240'],
        [15, [1, 512], '3 of 112'],
      ],
      { workers: 3 },
    );
  });

  it('is not looked at with an interval of 0', () => {
    tell(limits(1), [[5, 4, '']], { resizeInterval: 0 });
  });

  it('says what it decided and why', () => {
    const sizer = new Sizer(SETTINGS, limits(1));
    assert.match(sizer.look(limits(3), 0)?.say ?? '', /^resized from 1: 3 workers: .*quota 3.* ask for 3/);
    assert.match(sizer.look(limits(2), 0)?.say ?? '', /^fewer workers in 30 s unless .*: 2 workers: .*quota 2/);
    assert.match(sizer.look(limits(3), 0)?.say ?? '', /^still as many workers: 3 workers: .*quota 3/);
    assert.match(sizer.look(limits(3, 512), 0)?.say ?? '', /^limits changed: 3 workers: .*memory limit 512MiB/);
  });
});

describe('TTIN and TTOU', () => {
  it('set the number, which no limit changes until HUP', () => {
    tell(limits(2), [
      [1, 'TTIN', '3'],
      [5, 1, '3'],
      [99, 1, ''],
      [100, 'TTOU', '2'],
      [105, 4, '2'],
      [110, 'HUP', '4'],
      [115, 1, 'wait'],
      [145, 1, '1'],
    ]);
  });

  it('never below one', () => {
    tell(limits(1), [
      [1, 'TTOU', ''],
      [5, 4, '1'], // the number is set all the same
      [10, 'HUP', '4'],
    ]);
  });

  it('end the waiting', () => {
    tell(limits(3), [
      [5, 1, 'wait'],
      [6, 'TTOU', '2'],
      [99, 1, ''],
    ]);
  });

  it('share the memory among their number', () => {
    tell(limits(2, 512), [
      [1, 'TTIN', '3 of 112'], // 0.75 × (512 − 64) ÷ 3
      [2, 'TTOU', '2 of 168'],
    ]);
  });

  it('are named in the log', () => {
    const sizer = new Sizer(SETTINGS, limits(2));
    assert.match(sizer.set(3)?.say ?? '', /^resized from 2: 3 workers: .*number set by signals/);
  });

  it('are told apart from what sizing decided, even where the number is the same', () => {
    const sizer = new Sizer(SETTINGS, limits(2));
    const seen = (): unknown => {
      const { workers, why, inputs } = sizer.inForce;
      return [workers, inputs.signalled, /set by signals/.test(why)];
    };
    assert.deepEqual(seen(), [2, false, false]);
    sizer.set(3);
    assert.deepEqual(seen(), [3, true, true]);
    sizer.set(2);
    assert.deepEqual(seen(), [2, true, true]);
    sizer.set(undefined); // HUP
    assert.deepEqual(seen(), [2, false, false]);
  });
});

describe('HUP', () => {
  it('does what is waited for at once', () => {
    tell(limits(2), [
      [5, 1, 'wait'],
      [6, 'HUP', '1'],
      [40, 1, ''],
    ]);
  });
});

describe('the memory limit that workers admit requests by', () => {
  const bytes = (memoryBytes: number | undefined, maxWorkerRss: SizerSettings['maxWorkerRss'] = 'auto') => {
    const sizer = new Sizer({ ...SETTINGS, maxWorkerRss }, memoryLimits(1000 * MIB));
    sizer.look(memoryLimits(memoryBytes), 0);
    return sizer.memoryGroup?.limitBytes;
  };

  it('is the present one', () => {
    assert.deepEqual([bytes(1000 * MIB), bytes(2000 * MIB), bytes(undefined)], [1000 * MIB, 2000 * MIB, undefined]);
  });

  it('is none where workers are not replaced for their size', () => {
    assert.equal(bytes(2000 * MIB, 'off'), undefined);
  });
});
