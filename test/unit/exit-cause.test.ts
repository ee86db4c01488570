import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { explainExit } from '../../src/arbiter/worker-events.ts';

const MIB = 2 ** 20;

type Evidence = Parameters<typeof explainExit>[0] & { oomKilled?: boolean; heapUsedBytes?: number };

const killed: Evidence = {
  slot: 0,
  workerId: 7,
  pid: 77,
  code: null,
  signal: 'SIGKILL',
  spawnError: undefined,
  saidHello: true,
  failure: undefined,
  killReason: undefined,
  stackAtKill: undefined,
  outOfMemory: undefined,
  reportsOutOfMemory: false,
  heapLimitBytes: undefined,
};
const told = (of: 'heap' | 'process') => ({
  reportsOutOfMemory: true,
  outOfMemory: { of, where: 'Reached heap limit' },
});
const aborted: Evidence = { ...killed, signal: 'SIGABRT', heapLimitBytes: 100 * MIB };

describe('what a worker died of', () => {
  const rows: [name: string, Evidence, cause: string | undefined, how: RegExp][] = [
    ['an exit code', { ...killed, code: 7, signal: null }, undefined, /^exit code 7$/],
    ['no start', { ...killed, signal: null, spawnError: new Error('EAGAIN') }, undefined, /^EAGAIN$/],
    ['SIGKILL from elsewhere', killed, undefined, /^SIGKILL$/],
    ['SIGKILL from the kernel', { ...killed, oomKilled: true }, 'oom', /raise the limit.*TSUNICORN_WORKERS/],
    ['SIGKILL from the arbiter', { ...killed, oomKilled: true, killReason: 'silent for 30 s' }, undefined, /^SIGKILL$/],
    ['SIGSEGV', { ...killed, signal: 'SIGSEGV', oomKilled: true }, undefined, /^SIGSEGV$/],
    [
      'a heap that it says is full',
      { ...aborted, ...told('heap'), heapUsedBytes: 5 * MIB },
      'heap',
      /^SIGABRT, as its .* full \(Reached heap limit; 5 MiB of 100 MiB when it last reported\).*TSUNICORN_WORKER_HEAP/,
    ],
    ['a full heap before its first report', { ...aborted, ...told('heap') }, 'heap', / 0 MiB of 100 MiB/],
    [
      'a full heap whose limit V8 chose',
      { ...aborted, ...told('heap'), heapLimitBytes: undefined },
      'heap',
      /0 MiB of what V8 allows/,
    ],
    [
      'a full heap, and killed over its last snapshot of it',
      { ...killed, ...told('heap'), killReason: 'silent for 30 s' },
      'heap',
      /^SIGKILL, as its JavaScript heap was full/,
    ],
    ['no memory from the system', { ...aborted, ...told('process') }, undefined, /as the system gave V8.*ulimit -v/],
    [
      'abort() with a heap nearly full that it would have told of',
      { ...aborted, reportsOutOfMemory: true, heapUsedBytes: 99 * MIB },
      undefined,
      /^SIGABRT, not for lack of heap/,
    ],
    [
      'without its word, a heap that was nearly full',
      { ...aborted, heapUsedBytes: 50 * MIB },
      'heap',
      /probably as its JavaScript heap was full \(50 MiB of 100 MiB when it last reported\).*TSUNICORN_WORKER_HEAP/,
    ],
    [
      'without its word, a heap that was rather empty',
      { ...aborted, heapUsedBytes: 49 * MIB },
      undefined,
      /^SIGABRT, as Node.js .* stderr says/,
    ],
    ['without its word and without a report', aborted, undefined, /stderr says so/],
    [
      'without its word, a heap whose limit V8 chose',
      { ...aborted, heapLimitBytes: undefined, heapUsedBytes: 1100 * MIB },
      'heap',
      /1100 MiB of what V8 allows/,
    ],
    [
      'without its word, less than half of that',
      { ...aborted, heapLimitBytes: undefined, heapUsedBytes: 900 * MIB },
      undefined,
      /^SIGABRT, as Node.js/,
    ],
  ];
  for (const [name, { oomKilled = false, heapUsedBytes, ...evidence }, cause, how] of rows) {
    it(name, () => {
      const exit = explainExit(evidence, oomKilled, heapUsedBytes);
      assert.equal(exit.cause, cause);
      assert.match(exit.how, how);
    });
  }

  it('has what the worker said of its failure, else why it was killed, else how it ended', () => {
    const said = (change: Partial<Evidence>) => {
      const { why, message, stack, fatal, exit } = explainExit({ ...killed, ...change }, false);
      return [why, message, stack, fatal, exit];
    };
    const failure = { reason: 'boom', stack: 'at app.js', fatal: true, exit: 'config' as const };
    const stall = { killReason: 'silent for 30 s', stackAtKill: 'at spin' };
    assert.deepEqual(said({}), ['SIGKILL', undefined, undefined, false, undefined]);
    assert.deepEqual(said(stall), ['SIGKILL', 'silent for 30 s', 'at spin', false, undefined]);
    assert.deepEqual(said({ ...stall, failure }), ['boom', 'boom', 'at app.js', true, 'config']);
    const silent = 'exit code 9 before it could say why: see stderr';
    assert.deepEqual(said({ code: 9, signal: null, saidHello: false }), [silent, silent, undefined, false, undefined]);
    assert.deepEqual(said({ code: 9, signal: null }), ['exit code 9', undefined, undefined, false, undefined]);
  });
});
