import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { autopsy, type Remains } from '../../src/arbiter/autopsy.ts';

const MIB = 2 ** 20;

const killed: Remains = {
  exit: { code: null, signal: 'SIGKILL' },
  murdered: false,
  oomKilled: false,
  heapUsedBytes: undefined,
  heapLimitBytes: undefined,
};
const aborted: Remains = { ...killed, exit: { code: null, signal: 'SIGABRT' }, heapLimitBytes: 100 * MIB };

describe('what a worker died of', () => {
  const rows: [name: string, Remains, cause: string | undefined, how: RegExp][] = [
    ['an exit code', { ...killed, exit: { code: 7, signal: null } }, undefined, /^exit code 7$/],
    ['no start', { ...killed, exit: { code: null, signal: null, error: new Error('EAGAIN') } }, undefined, /^EAGAIN$/],
    ['SIGKILL from somebody', killed, undefined, /^SIGKILL$/],
    ['SIGKILL from the kernel', { ...killed, oomKilled: true }, 'oom', /raise the limit.*TSUNICORN_WORKERS/],
    ['SIGKILL from the arbiter', { ...killed, oomKilled: true, murdered: true }, undefined, /^SIGKILL$/],
    ['SIGSEGV', { ...killed, exit: { code: null, signal: 'SIGSEGV' }, oomKilled: true }, undefined, /^SIGSEGV$/],
    ['a full heap', { ...aborted, heapUsedBytes: 90 * MIB }, 'heap', /\(90MiB of 100MiB.*TSUNICORN_WORKER_HEAP/],
    ['a heap that filled fast', { ...aborted, heapUsedBytes: 50 * MIB }, 'heap', /full/],
    [
      'abort() with an empty heap',
      { ...aborted, heapUsedBytes: 49 * MIB },
      undefined,
      /^SIGABRT, which .* stderr says/,
    ],
    ['abort() without a report', aborted, undefined, /stderr says so/],
    [
      'a full heap where V8 chose the limit',
      { ...aborted, heapLimitBytes: undefined, heapUsedBytes: 1100 * MIB },
      'heap',
      /1100MiB of what V8 allows/,
    ],
    ['abort() below that', { ...aborted, heapLimitBytes: undefined, heapUsedBytes: 900 * MIB }, undefined, /^SIGABRT/],
  ];
  for (const [name, remains, cause, how] of rows) {
    it(name, () => {
      const finding = autopsy(remains);
      assert.equal(finding.cause, cause);
      assert.match(finding.how, how);
    });
  }
});
