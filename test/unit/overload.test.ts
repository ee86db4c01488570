/** When an event loop counts as too late, by the clock. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Overload } from '../../src/worker/admission/overload.ts';

/** What happens at each time (`tick`: the timer fired), and whether it is too late then. The limit is 200 ms. */
const ROWS: readonly (readonly [at: number, tick: boolean, exceeded: boolean])[] = [
  [0, false, false],
  [100, true, false],
  [200, true, false],
  // A long turn of the loop: the timer was due at 300.
  [450, false, false],
  [500, false, false],
  [501, false, true],
  [900, false, true],
  // The turn is over, and the timer 600 ms late.
  [900, true, true],
  [950, false, true],
  // The next one is in time.
  [1_000, true, false],
  [1_300, false, false],
  [1_301, false, true],
];

test('the event loop is late when its timer is, and at once where that is overdue', () => {
  let now = 0;
  const overload = new Overload(200, () => now);
  const told = ROWS.map(([at, tick]) => {
    now = at;
    if (tick) overload.tick();
    return [at, tick, overload.exceeded];
  });
  assert.deepEqual(told, ROWS);
});
