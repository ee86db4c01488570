import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MemoryWatch } from '../../src/arbiter/memory-watch.ts';
import type { WorkerProcess } from '../../src/arbiter/worker-process.ts';
import { memoryLimits } from './memory-limits.ts';

/** Notes down the limits that it is told. */
function worker() {
  const told: unknown[] = [];
  const send: WorkerProcess['send'] = (message) => {
    told.push(message.type === 'memory' ? message.memory?.limitBytes : message);
  };
  return { told, workers: [{ send } as WorkerProcess] };
}

describe('the memory limit that workers watch', () => {
  it('is the present one: they are told of another, of the end of all, and of nothing else', () => {
    const { told, workers } = worker();
    const watch = new MemoryWatch({ maxWorkerRss: 'auto' }, memoryLimits(1000));
    assert.equal(watch.watched?.limitBytes, 1000);
    for (const bytes of [1000, 2000, 2000, undefined, undefined, 500]) watch.look(memoryLimits(bytes), workers);
    assert.deepEqual(told, [2000, undefined, 500]);
    assert.equal(watch.watched?.limitBytes, 500);
  });

  it('is none where workers are not to be replaced for their size', () => {
    const { told, workers } = worker();
    const watch = new MemoryWatch({ maxWorkerRss: 'off' }, memoryLimits(1000));
    watch.look(memoryLimits(2000), workers);
    assert.equal(watch.watched, undefined);
    assert.deepEqual(told, []);
  });
});
