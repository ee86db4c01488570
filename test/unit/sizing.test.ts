import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Limits } from '../../src/platform/kernel/limits.ts';
import { decideSizing, type SizingSettings } from '../../src/sizing.ts';

const MIB = 2 ** 20;
const GIB = 2 ** 30;

const defaults: SizingSettings = {
  workers: 'auto',
  workersPerCpu: 1,
  minWorkers: 1,
  maxWorkers: undefined,
  workerMemory: 128 * MIB,
  workerHeap: 'auto',
  maxWorkerRss: 'auto',
};
const machine: Limits = {
  onlineCpus: 64,
  affinityCpus: 64,
  cpusetCpus: undefined,
  quotaCores: undefined,
  memoryBytes: undefined,
  cgroup: 'v2',
  sources: {},
};
const decide = (settings: Partial<SizingSettings>, limits: Partial<Limits>) =>
  decideSizing({ ...defaults, ...settings }, { ...machine, ...limits });

describe('workers', () => {
  const rows: [name: string, Partial<SizingSettings>, Partial<Limits>, workers: number][] = [
    ['quota 0.05', {}, { quotaCores: 0.05 }, 1],
    ['quota 0.5', {}, { quotaCores: 0.5 }, 1],
    ['quota 1', {}, { quotaCores: 1 }, 1],
    ['quota 1.1', {}, { quotaCores: 1.1 }, 1],
    ['quota 1.2', {}, { quotaCores: 1.2 }, 2],
    ['quota 1.5', {}, { quotaCores: 1.5 }, 2],
    ['quota 2', {}, { quotaCores: 2 }, 2],
    ['quota 2.5', {}, { quotaCores: 2.5 }, 3],
    ['quota 32 is not held to 8', {}, { quotaCores: 32 }, 32],
    ['quota above the CPUs', {}, { quotaCores: 6, affinityCpus: 4 }, 4],
    ['cpuset below the quota', {}, { quotaCores: 6, cpusetCpus: 3 }, 3],
    ['affinity below the cpuset', {}, { affinityCpus: 2, cpusetCpus: 3 }, 2],
    ['no quota, 2 CPUs', {}, { affinityCpus: 2 }, 2],
    ['no quota, 8 CPUs', {}, { affinityCpus: 8 }, 8],
    ['no quota, 64 CPUs', {}, {}, 8],
    ['no quota, 64 CPUs, maximum 16', { maxWorkers: 16 }, {}, 16],
    ['no quota, minimum 10', { minWorkers: 10 }, {}, 10],
    ['nothing known but the machine', {}, { affinityCpus: undefined, onlineCpus: 4, cgroup: 'none' }, 4],
    ['2 per CPU', { workersPerCpu: 2 }, { quotaCores: 1.5 }, 3],
    ['half per CPU', { workersPerCpu: 0.5 }, { quotaCores: 4 }, 2],
    ['2 per CPU without quota', { workersPerCpu: 2 }, { affinityCpus: 8 }, 8],
    // 8.1 − 0.1 is 8 on paper.
    ['3 per CPU of 2.7', { workersPerCpu: 3 }, { quotaCores: 2.7 }, 8],
    ['maximum', { maxWorkers: 3 }, { quotaCores: 8 }, 3],
    ['minimum', { minWorkers: 3 }, { quotaCores: 1 }, 3],
    ['minimum and maximum', { minWorkers: 2, maxWorkers: 4 }, { quotaCores: 3 }, 3],
    ['minimum of zero', { minWorkers: 0, maxWorkers: 0 }, { quotaCores: 3 }, 1],
    // (0.9 × 512 − 64) ÷ 128 = 3.1
    ['memory 512 MiB', {}, { quotaCores: 8, memoryBytes: 512 * MIB }, 3],
    ['memory 512 MiB, enough', {}, { quotaCores: 2, memoryBytes: 512 * MIB }, 2],
    ['memory 512 MiB, workers of 64 MiB', { workerMemory: 64 * MIB }, { quotaCores: 8, memoryBytes: 512 * MIB }, 6],
    ['memory 512 MiB, no quota', {}, { memoryBytes: 512 * MIB }, 3],
    ['memory for none', {}, { quotaCores: 4, memoryBytes: 128 * MIB }, 1],
    ['memory below the reserve', {}, { quotaCores: 4, memoryBytes: 32 * MIB }, 1],
    ['minimum against the memory', { minWorkers: 4 }, { quotaCores: 1, memoryBytes: 256 * MIB }, 4],
    ['fixed', { workers: 5 }, { quotaCores: 1, memoryBytes: 256 * MIB }, 5],
    ['fixed, beyond the bounds', { workers: 20, minWorkers: 2, maxWorkers: 3 }, {}, 20],
    ['fixed at one', { workers: 1, minWorkers: 4 }, { quotaCores: 8 }, 1],
  ];
  for (const [name, settings, limits, workers] of rows) {
    it(`${name}: ${workers}`, () => assert.equal(decide(settings, limits).workers, workers));
  }
});

describe('boots at the same time', () => {
  for (const [cpus, boots] of [
    [0.2, 1],
    [1, 1],
    [1.1, 1],
    [1.5, 2],
    [8, 8],
  ] as const) {
    it(`with ${cpus} CPUs: ${boots}`, () => {
      assert.equal(decide({ workers: 64 }, { quotaCores: cpus }).bootsAtOnce, boots);
    });
  }
});

describe('cpus', () => {
  it('are the smallest of affinity, cpuset and quota', () => {
    assert.equal(decide({}, { affinityCpus: 4, cpusetCpus: 3, quotaCores: 2.5 }).cpus, 2.5);
    assert.equal(decide({}, { affinityCpus: 4, cpusetCpus: 2, quotaCores: 2.5 }).cpus, 2);
    assert.equal(decide({}, { affinityCpus: 1, cpusetCpus: 2, quotaCores: 2.5 }).cpus, 1);
    assert.equal(decide({}, { affinityCpus: undefined, onlineCpus: 6 }).cpus, 6);
  });
});

describe('heap', () => {
  const rows: [name: string, Partial<SizingSettings>, Partial<Limits>, heapBytes: number | undefined][] = [
    // 0.75 × (512 − 64) ÷ 2
    ['of two workers in 512 MiB', {}, { quotaCores: 2, memoryBytes: 512 * MIB }, 168 * MIB],
    ['of one worker in 512 MiB', {}, { quotaCores: 1, memoryBytes: 512 * MIB }, 336 * MIB],
    // 0.75 × (512 − 64) ÷ 3 = 112; of fixed 5: 67.2
    ['is shared by all workers', {}, { quotaCores: 8, memoryBytes: 512 * MIB }, 112 * MIB],
    ['is whole MiB', { workers: 5 }, { memoryBytes: 512 * MIB }, 67 * MIB],
    ['of a large limit', {}, { quotaCores: 4, memoryBytes: 16 * GIB }, 3060 * MIB],
    ['never below 32 MiB', { workers: 8 }, { memoryBytes: 256 * MIB }, 32 * MIB],
    ['below the reserve', {}, { quotaCores: 1, memoryBytes: 48 * MIB }, 32 * MIB],
    ['without a memory limit', {}, { quotaCores: 2 }, undefined],
    ['off', { workerHeap: 'off' }, { quotaCores: 2, memoryBytes: 512 * MIB }, undefined],
    ['given', { workerHeap: 100_000_000 }, { quotaCores: 2, memoryBytes: 512 * MIB }, 100_000_000],
    ['given, without a memory limit', { workerHeap: 20 * MIB }, {}, 20 * MIB],
  ];
  for (const [name, settings, limits, heapBytes] of rows) {
    it(name, () => assert.equal(decide(settings, limits).heapBytes, heapBytes));
  }
});

describe('the size at which a worker is recycled', () => {
  const rows: [name: string, Partial<SizingSettings>, Partial<Limits>, maxRss: number | undefined][] = [
    // 0.9 × (512 − 64) ÷ 2 = 201.6, and 48 of shared pages
    ['of two workers in 512 MiB', {}, { quotaCores: 2, memoryBytes: 512 * MIB }, 249 * MIB],
    ['of one worker in 512 MiB', {}, { quotaCores: 1, memoryBytes: 512 * MIB }, 451 * MIB],
    // 0.9 × (512 − 64) ÷ 4 = 100.8
    ['of more workers than fit', { workers: 4 }, { memoryBytes: 512 * MIB }, 148 * MIB],
    ['below the reserve', {}, { quotaCores: 1, memoryBytes: 32 * MIB }, 48 * MIB],
    ['without a memory limit', {}, { quotaCores: 2 }, undefined],
    ['off', { maxWorkerRss: 'off' }, { quotaCores: 2, memoryBytes: 512 * MIB }, undefined],
    ['given', { maxWorkerRss: 90 * MIB }, { quotaCores: 2, memoryBytes: 512 * MIB }, 90 * MIB],
    ['given, without a memory limit', { maxWorkerRss: 90 * MIB }, {}, 90 * MIB],
  ];
  for (const [name, settings, limits, maxRss] of rows) {
    it(name, () => assert.equal(decide(settings, limits).maxRss, maxRss));
  }
});

describe('why', () => {
  it('states every input and the decision', () => {
    const sources = { quota: '/sys/fs/cgroup/cpu.max', memory: '/sys/fs/cgroup/memory.max' };
    assert.equal(
      decide({}, { onlineCpus: 8, affinityCpus: 8, quotaCores: 1.5, memoryBytes: 512 * MIB, sources }).why,
      '2 workers: cgroup v2; ' +
        'cpus 1.5 (quota 1.5 from /sys/fs/cgroup/cpu.max, cpuset none, affinity 8, online 8) at 1 per CPU ask for 2; ' +
        'memory limit 512MiB from /sys/fs/cgroup/memory.max holds 3 of 128MiB; bounds 1 to none; heap limit 168MiB each; ' +
        'recycled above 249MiB',
    );
    assert.equal(
      decide({}, { affinityCpus: undefined, onlineCpus: 1, cgroup: 'none' }).why,
      '1 worker: cgroup none; cpus 1 (quota none, cpuset none, affinity unknown, online 1) at 1 per CPU ask for 1; ' +
        'no memory limit; bounds 1 to 8; heap limit left to V8',
    );
    assert.match(
      decide({}, { quotaCores: 0.05, memoryBytes: 32 * MIB }).why,
      /^1 worker: .* ask for 1; .* holds 0 of 128MiB/,
    );
    assert.match(
      decide({ workers: 4 }, { quotaCores: 1 / 3 }).why,
      /^4 workers: .*cpus 0\.333 \(.*number set by TSUNICORN_WORKERS/,
    );
  });
});

describe('warning', () => {
  const quota = /^no CPU quota: .*docker run --cpus=2, Kubernetes resources\.limits\.cpu/;
  const rows: [name: string, Partial<SizingSettings>, Partial<Limits>, warning: RegExp | undefined][] = [
    ['no quota', {}, { affinityCpus: 2 }, quota],
    ['no quota, and more CPUs than workers', {}, {}, /up to TSUNICORN_MAX_WORKERS/],
    ['no cgroup', {}, { cgroup: 'none' }, /^no CPU quota \(no cgroup is visible\): /],
    ['quota', {}, { quotaCores: 2 }, undefined],
    ['no quota, fixed number', { workers: 4 }, {}, undefined],
    ['fixed number that fits', { workers: 3 }, { memoryBytes: 512 * MIB }, undefined],
    [
      'fixed number that does not fit',
      { workers: 4 },
      { memoryBytes: 512 * MIB },
      /holds 3: .*lower TSUNICORN_WORKERS/,
    ],
    [
      'minimum that does not fit',
      { minWorkers: 4 },
      { quotaCores: 1, memoryBytes: 512 * MIB },
      /lower TSUNICORN_MIN_WORKERS/,
    ],
    ['the one worker that has to be', {}, { quotaCores: 1, memoryBytes: 128 * MIB }, undefined],
    ['the one worker that was asked for', { workers: 1 }, { memoryBytes: 128 * MIB }, undefined],
    [
      'both',
      { minWorkers: 4 },
      { affinityCpus: 1, memoryBytes: 256 * MIB },
      /^no CPU quota: .* do not fit the memory limit of 256MiB/,
    ],
  ];
  for (const [name, settings, limits, warning] of rows) {
    it(name, () => {
      const actual = decide(settings, limits).warning;
      if (warning === undefined) assert.equal(actual, undefined);
      else assert.match(actual ?? '', warning);
    });
  }

  it('names the maximum only where it decided', () => {
    assert.doesNotMatch(decide({}, { affinityCpus: 8 }).warning ?? '', /MAX_WORKERS/);
    assert.doesNotMatch(decide({}, { memoryBytes: 512 * MIB }).warning ?? '', /MAX_WORKERS/);
  });
});
