import assert from 'node:assert/strict';
import { test } from 'node:test';
import { garbageWatch } from '../../src/platform/gc.ts';

const MIB = 2 ** 20;

/** A heap in which `alive` is left when it is collected. */
function heapOf(aliveMib: number) {
  const heap = {
    alive: aliveMib * MIB,
    used: aliveMib * MIB,
    collections: 0,
    usedBytes: () => heap.used,
    collect: () => {
      heap.collections += 1;
      heap.used = heap.alive;
    },
  };
  const look = garbageWatch(heap.usedBytes, heap.collect);
  /** Mebibytes of garbage more, then a look: how often it was collected so far. */
  const leave = (mib: number): number => {
    heap.used += mib * MIB;
    look();
    return heap.collections;
  };
  return { heap, leave };
}

test('garbage is collected once there are two mebibytes of it', () => {
  const { leave } = heapOf(7);
  assert.equal(leave(0), 0);
  assert.equal(leave(1), 0);
  assert.equal(leave(0.9), 0);
  assert.equal(leave(0.1), 1);
  assert.equal(leave(1.9), 1);
  assert.equal(leave(0.1), 2);
});

test('in a large heap, once it is a quarter of what lives', () => {
  const { leave } = heapOf(40);
  assert.equal(leave(0), 0);
  assert.equal(leave(9), 0);
  assert.equal(leave(1), 1);
});

test('what lives is not taken for garbage again and again', () => {
  const { heap, leave } = heapOf(7);
  leave(0);
  heap.alive = 20 * MIB;
  assert.equal(leave(13), 1);
  assert.equal(leave(0), 1);
  assert.equal(leave(4), 1);
  assert.equal(leave(1), 2);
});

test('what V8 collected itself counts', () => {
  const { heap, leave } = heapOf(20);
  leave(0);
  heap.used = 7 * MIB;
  assert.equal(leave(0), 0);
  assert.equal(leave(2), 1);
});
