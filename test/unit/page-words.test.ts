/** Numbers and sentences of the live page. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  bytes,
  bytesOf,
  changesInWords,
  duration,
  number,
  percent,
  plural,
  roundUp,
  sizingInWords,
  span,
} from '../../src/admin/page/words.ts';
import type { SizingStatus, Status, WorkerExitStatus } from '../../src/admin/status.ts';
import { STATUS } from './status-kit.ts';

const MIB = 2 ** 20;

describe('numbers', () => {
  const rows: [found: string, expected: string][] = [
    [number(null), '–'],
    [number(Number.NaN), '–'],
    [number(0), '0'],
    [number(0.256), '0.26'],
    [number(71.54), '71.5'],
    [number(123.4), '123'],
    [number(1250), '1,250'],
    [percent(null), '–'],
    [percent(0), '0 %'],
    [percent(0.0312), '3.1 %'],
    [percent(0.5), '50 %'],
    [percent(1), '100 %'],
    [duration(null), '–'],
    [duration(0.00042), '0.4 ms'],
    [duration(0.0125), '13 ms'],
    [duration(1.5), '1.5 s'],
    [span(0), '0 s'],
    [span(59.9), '59 s'],
    [span(60), '1 min'],
    [span(185), '3 min 5 s'],
    [span(3600), '1 h'],
    [span(2 * 86_400 + 7 * 3_600 + 59), '2 d 7 h'],
    [bytes(null), '–'],
    [bytes(94.4 * MIB), '94 MiB'],
    [bytes(1.5 * 1024 * MIB), '1.5 GiB'],
    [bytesOf(94 * MIB, 224 * MIB), '94 of 224 MiB'],
    [bytesOf(94 * MIB, 2048 * MIB), '94 MiB of 2 GiB'],
    [bytesOf(94 * MIB, null), '94 MiB of –'],
    [plural(1, 'worker'), '1 worker'],
    [plural(0, 'worker'), '0 workers'],
    [plural(1.5, 'core'), '1.5 cores'],
  ];
  for (const [found, expected] of rows) it(expected, () => assert.equal(found, expected));

  it('the top of a scale is at or above what it holds, and not far', () => {
    for (const value of [0.001, 0.0011, 0.1, 0.3, 0.95, 1, 7, 9.9, 10, 11, 320, 999, 1e6 + 1]) {
      const top = roundUp(value);
      assert.ok(top >= value * 0.99999 && top <= value * 1.55, `${value} → ${top}`);
    }
  });
});

describe('sizing in words', () => {
  const tell = (change: Partial<SizingStatus>, settings: Status['settings'] = STATUS.settings) =>
    sizingInWords({ sizing: { ...STATUS.sizing, ...change }, settings }).join(' ');

  it('leads from the inputs to the number', () => {
    assert.equal(
      tell({}),
      '1.5 cores may be used (the CPU quota), which ask for 2 workers. The memory limit of 512 MiB holds 3. ' +
        'There may be 1 or more. So there are 2 workers. Each may have 168 MiB of old space.',
    );
  });

  it('names what decided', () => {
    const { limits } = STATUS.sizing;
    const none = { ...limits, quotaCores: null, cpusetCpus: null, memoryBytes: null };
    assert.match(tell({ cpus: 2, limits: { ...none, cpusetCpus: 2 } }), /2 cores may be used \(the cpuset\)/);
    assert.match(tell({ cpus: 4, limits: none }), /\(the affinity of the process\)/);
    assert.match(tell({ cpus: 8, limits: { ...none, affinityCpus: null } }), /\(all that are online\)/);
    assert.match(tell({ byMemory: null }), /There is no memory limit to fit\./);
    assert.match(tell({ maxWorkers: 8 }), /There may be 1 or more, and at most 8\./);
    assert.match(tell({ heapBytes: null }), /The heap limit is left to V8\./);
    assert.match(tell({ cpus: 1, byCpus: 1, workers: 1, target: 1 }), /^1 core may be used .* asks for 1 worker\./);
  });

  it('says if a setting or a signal decided', () => {
    const settings = { TSUNICORN_WORKERS: { value: '2', origin: 'env', variable: 'WEB_CONCURRENCY' } };
    assert.match(tell({}, settings), /^TSUNICORN_WORKERS asks for 2 workers, whatever the limits are\./);
    assert.match(tell({ workers: 3, target: 3, signalled: true }), /^A signal set the number to 3\. Each may have/);
  });
});

describe('what is announced', () => {
  const exit = (workerId: number): WorkerExitStatus => ({
    time: '2026-01-01T00:00:00.000Z',
    slot: 1,
    workerId,
    pid: 30 + workerId,
    seconds: 5,
    reason: 'max_requests',
    how: 'exit code 0',
    message: null,
    stack: null,
  });
  const rows: [name: string, Partial<Status>, Partial<Status>, string[]][] = [
    ['nothing while nothing changes', { exits: [exit(1)] }, { exits: [exit(1)] }, []],
    [
      'readiness',
      {},
      { readiness: { ready: false, reason: 'no worker is ready' } },
      ['Not ready: no worker is ready.'],
    ],
    ['readiness again', { readiness: { ready: false, reason: '' } }, {}, ['Ready: 2 of 2 workers are ready.']],
    ['an exit', {}, { exits: [exit(1)] }, ['The worker of slot 1 ended: max requests, exit code 0.']],
    ['several exits', { exits: [exit(1)] }, { exits: [exit(3), exit(2), exit(1)] }, ['2 workers ended.']],
  ];
  for (const [name, before, after, changes] of rows) {
    it(name, () => assert.deepEqual(changesInWords({ ...STATUS, ...before }, { ...STATUS, ...after }), changes));
  }
});
