import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { explainExit, type Remains } from '../../src/arbiter/autopsy.ts';

const MIB = 2 ** 20;

const killed: Remains = {
  exit: { code: null, signal: 'SIGKILL' },
  murdered: false,
  oomKilled: false,
  outOfMemory: undefined,
  tellsOutOfMemory: false,
  heapUsedBytes: undefined,
  heapLimitBytes: undefined,
};
const told = (of: 'heap' | 'process') => ({ tellsOutOfMemory: true, outOfMemory: { of, where: 'Reached heap limit' } });
const aborted: Remains = { ...killed, exit: { code: null, signal: 'SIGABRT' }, heapLimitBytes: 100 * MIB };

describe('what a worker died of', () => {
  const rows: [name: string, Remains, cause: string | undefined, how: RegExp][] = [
    ['an exit code', { ...killed, exit: { code: 7, signal: null } }, undefined, /^exit code 7$/],
    ['no start', { ...killed, exit: { code: null, signal: null, error: new Error('EAGAIN') } }, undefined, /^EAGAIN$/],
    ['SIGKILL from somebody', killed, undefined, /^SIGKILL$/],
    ['SIGKILL from the kernel', { ...killed, oomKilled: true }, 'oom', /raise the limit.*TSUNICORN_WORKERS/],
    ['SIGKILL from the arbiter', { ...killed, oomKilled: true, murdered: true }, undefined, /^SIGKILL$/],
    ['SIGSEGV', { ...killed, exit: { code: null, signal: 'SIGSEGV' }, oomKilled: true }, undefined, /^SIGSEGV$/],
    [
      'a heap that it says is full',
      { ...aborted, ...told('heap'), heapUsedBytes: 5 * MIB },
      'heap',
      /^SIGABRT, as its .* full \(Reached heap limit; 5MiB of 100MiB when it last reported\).*TSUNICORN_WORKER_HEAP/,
    ],
    ['a full heap before its first report', { ...aborted, ...told('heap') }, 'heap', / 0MiB of 100MiB/],
    [
      'a full heap whose limit V8 chose',
      { ...aborted, ...told('heap'), heapLimitBytes: undefined },
      'heap',
      /0MiB of what V8 allows/,
    ],
    [
      'a full heap, and killed over its last snapshot of it',
      { ...killed, ...told('heap'), murdered: true },
      'heap',
      /^SIGKILL, as its JavaScript heap was full/,
    ],
    ['no memory from the system', { ...aborted, ...told('process') }, undefined, /as the system gave V8.*ulimit -v/],
    [
      'abort() with a heap nearly full that it would have told of',
      { ...aborted, tellsOutOfMemory: true, heapUsedBytes: 99 * MIB },
      undefined,
      /^SIGABRT, and not for want of heap/,
    ],
    [
      'without its word, a heap that was nearly full',
      { ...aborted, heapUsedBytes: 50 * MIB },
      'heap',
      /probably as its JavaScript heap was full \(50MiB of 100MiB when it last reported\).*TSUNICORN_WORKER_HEAP/,
    ],
    [
      'without its word, a heap that was rather empty',
      { ...aborted, heapUsedBytes: 49 * MIB },
      undefined,
      /^SIGABRT, which .* stderr says/,
    ],
    ['without its word and without a report', aborted, undefined, /stderr says so/],
    [
      'without its word, a heap whose limit V8 chose',
      { ...aborted, heapLimitBytes: undefined, heapUsedBytes: 1100 * MIB },
      'heap',
      /1100MiB of what V8 allows/,
    ],
    [
      'without its word, less than half of that',
      { ...aborted, heapLimitBytes: undefined, heapUsedBytes: 900 * MIB },
      undefined,
      /^SIGABRT, which/,
    ],
  ];
  for (const [name, remains, cause, how] of rows) {
    it(name, () => {
      const finding = explainExit(remains);
      assert.equal(finding.cause, cause);
      assert.match(finding.how, how);
    });
  }
});
