import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Collector, PATIENCE_MS } from '../../src/arbiter/collector.ts';

/** Workers by age: each asks into `asked`. */
function workers(asked: [age: number, serial: number][], ...ages: number[]) {
  return ages.map((age) => ({ age, ask: (serial: number) => void asked.push([age, serial]) }));
}

test('all are asked, and the round ends with the last answer', async () => {
  const collector = new Collector();
  const asked: [number, number][] = [];
  const from = performance.now();
  let done = false;
  const round = collector.collect(workers(asked, 1, 2)).then(() => {
    done = true;
  });
  assert.deepEqual(asked, [
    [1, 1],
    [2, 1],
  ]);
  collector.answered(1, 1);
  collector.answered(1, 1);
  await new Promise(setImmediate);
  assert.equal(done, false);
  collector.answered(2, 1);
  await round;
  assert.ok(performance.now() - from < PATIENCE_MS);
});

test('nobody to ask', async () => {
  const from = performance.now();
  await new Collector().collect([]);
  assert.ok(performance.now() - from < PATIENCE_MS);
});

test('a silent worker is waited for only so long, and by the next round not at all until it is heard', async () => {
  const collector = new Collector();
  const asked: [number, number][] = [];
  const round = async (serial: number): Promise<number> => {
    const from = performance.now();
    const done = collector.collect(workers(asked, 1, 2));
    collector.answered(1, serial);
    await done;
    return performance.now() - from;
  };
  const first = await round(1);
  assert.ok(first >= PATIENCE_MS - 2 && first < 2 * PATIENCE_MS, String(first));
  assert.ok((await round(2)) < PATIENCE_MS / 2);
  assert.deepEqual(asked.at(-1), [2, 2], 'it is asked all the same');
  collector.answered(2, 1); // late, of a round that is over
  collector.heard(2);
  assert.ok((await round(3)) >= PATIENCE_MS - 2);
});

test('who ends is not waited for', async () => {
  const collector = new Collector();
  const from = performance.now();
  const round = collector.collect(workers([], 1, 2));
  collector.answered(1, 1);
  collector.gone(2);
  await round;
  assert.ok(performance.now() - from < PATIENCE_MS);
});

test('two scrapes at once share a round, and the next has one of its own', async () => {
  const collector = new Collector();
  const asked: [number, number][] = [];
  const both = [collector.collect(workers(asked, 1)), collector.collect(workers(asked, 1))];
  collector.answered(1, 1);
  await Promise.all(both);
  const next = collector.collect(workers(asked, 1));
  collector.answered(1, 2);
  await next;
  assert.deepEqual(asked, [
    [1, 1],
    [1, 2],
  ]);
});
