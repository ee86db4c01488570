import assert from 'node:assert/strict';
import { test } from 'node:test';
import { contentOf, FrameReader, frame, headerOf, LARGEST_MESSAGE, sign } from '../../src/platform/frames.ts';
import { decode, encode } from '../../src/worker/structured-clone.ts';

const MESSAGES = ['', 'a', 'x'.repeat(15), 'y'.repeat(16), 'z'.repeat(17), 'long'.repeat(5000), ''];
const stream = Buffer.concat(
  MESSAGES.map((text, i) => frame({ slot: i, workerId: 2 ** 32 - 1 - i, topic: i % 3 }, Buffer.from(text))),
);

/** mulberry32 */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

function assertWhole(frames: readonly Buffer[]): void {
  assert.deepEqual(
    frames.map((bytes) => ({ ...headerOf(bytes), text: Buffer.from(contentOf(bytes)).toString() })),
    MESSAGES.map((text, i) => ({ slot: i, workerId: 2 ** 32 - 1 - i, topic: i % 3, text })),
  );
}

test('frames come out whole however the stream is cut', () => {
  for (let size = 1; size < 60; size++) {
    const reader = new FrameReader();
    const frames: Buffer[] = [];
    for (let at = 0; at < stream.length; at += size) {
      // A copy, as each read of a socket is a buffer of its own.
      frames.push(...reader.frames(Buffer.from(stream.subarray(at, at + size))));
    }
    assertWhole(frames);
  }
  const random = randomFrom(1);
  for (let round = 0; round < 500; round++) {
    const reader = new FrameReader();
    const frames: Buffer[] = [];
    for (let at = 0; at < stream.length; ) {
      const size = 1 + Math.floor(random() ** 4 * stream.length);
      frames.push(...reader.frames(Buffer.from(stream.subarray(at, at + size))));
      at += size;
    }
    assertWhole(frames);
  }
});

test('a frame says whose it is once it is signed', () => {
  const bytes = frame({ slot: 3, workerId: 0, topic: 1 }, Buffer.from('text'));
  sign(bytes, { slot: 1, workerId: 70_000 });
  assert.deepEqual(headerOf(bytes), { slot: 1, workerId: 70_000, topic: 1 });
});

test('a length above the limit is refused before there is memory for it', () => {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt32LE(LARGEST_MESSAGE + 1);
  assert.throws(() => [...new FrameReader().frames(bytes)], TypeError);
  for (const cut of [1, 3, 4, 15]) {
    const reader = new FrameReader();
    assert.deepEqual([...reader.frames(bytes.subarray(0, cut))], []);
    assert.throws(() => [...reader.frames(bytes.subarray(cut))], TypeError);
  }
});

test('values survive as in a structured clone', () => {
  const shared = new Uint8Array([1, 2]);
  const value = {
    map: new Map([[{ a: 1 }, new Set([1n])]]),
    date: new Date(0),
    regexp: /a/g,
    floats: new Float64Array([1.5, Number.NaN]),
    buffer: Buffer.from('abc'),
    arrayBuffer: new ArrayBuffer(3),
    sparse: [undefined, null, Number.NaN, -0],
    error: new RangeError('told'),
    twice: [shared, shared],
  };
  assert.deepEqual(decode(encode(value)), value);
  const circle: { self?: unknown } = {};
  circle.self = circle;
  const copy = decode(encode(circle)) as typeof circle;
  assert.equal(copy.self, copy);
  const bytes = decode(contentOf(frame({ slot: 0, workerId: 0, topic: 1 }, encode(Buffer.from('abc'))))) as Buffer;
  assert.ok(bytes.buffer.byteLength < 100, 'its memory shows no other message');
});

test('what cannot be cloned throws what postMessage() throws', () => {
  for (const value of [
    () => {},
    Symbol('a'),
    Promise.resolve(),
    new WeakMap(),
    new SharedArrayBuffer(1),
    { a: [() => {}] },
  ]) {
    assert.throws(() => encode(value), { name: 'DataCloneError' });
  }
  assert.throws(
    () =>
      encode({
        get a() {
          throw new RangeError('getter');
        },
      }),
    RangeError,
  );
});
