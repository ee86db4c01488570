import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LATENCY_MS, settings, World } from './pool-world.ts';

const RUNS = 150;
/** Trouble for so long, then peace for as long as everything takes to settle, then the end. */
const TROUBLE_MS = 120_000;
const PEACE_MS = 180_000;

/** Trouble, then peace. */
function livedThrough(seed: number): World {
  const world = new World(seed);
  world.in(0, () => world.trouble());
  world.run(TROUBLE_MS);
  world.peaceful = true;
  world.in(0, () => world.pool.reload());
  world.run(TROUBLE_MS + PEACE_MS);
  assert.equal(world.halted, undefined);
  return world;
}

const seeds = Array.from({ length: RUNS }, (_, seed) => seed);

describe('whatever happens', () => {
  it('it settles with a ready worker of the last generation in each slot', () => {
    for (const seed of seeds) {
      const { pool, accepting } = livedThrough(seed);
      const found = pool.workers.map(
        ({ slot, state, startedAt }) => `${slot} ${state} ${startedAt > TROUBLE_MS - 10_000}`,
      );
      assert.deepEqual(found.toSorted(), ['0 ready true', '1 ready true', '2 ready true', '3 ready true'], `${seed}`);
      assert.deepEqual(accepting, ['0 on 0', '1 on 1', '2 on 2', '3 on 3'], `${seed}`);
      assert.equal(pool.workers.filter(({ lead }) => lead === 'held').length, 1, `${seed}`);
      assert.deepEqual(pool.readiness(), { ready: true, reason: '4 of 4 workers are ready' });
    }
  });

  it('it ends in time with 0 when it is told to', () => {
    for (const seed of seeds) {
      const world = new World(seed);
      world.in(0, () => world.trouble());
      const end = world.between(0, 30_000);
      world.run(end);
      const quick = world.between(0, 1) < 0.3;
      world.in(0, () => (quick ? world.pool.quit(world.now) : world.pool.stop(world.now)));
      const longest = quick ? 1000 : settings.gracefulTimeout * 1000;
      world.run(end + longest + LATENCY_MS + 1);
      assert.equal(world.halted, 'ok', `seed ${seed}`);
    }
  });

  it('the loop turns only when something happens', () => {
    for (const seed of seeds.slice(0, 20)) {
      const world = livedThrough(seed);
      assert.ok(world.turns <= 1.5 * world.happened + 100, `${world.turns} turns for ${world.happened} events`);
    }
  });
});
