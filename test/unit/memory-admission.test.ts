import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { MemoryAdmission } from '../../src/worker/admission/memory.ts';
import { type Gauge, groupGauge, heapGauge } from '../../src/worker/admission/memory-gauges.ts';

/** Of 1000 with a reserve of 100: `used` of it, of which `spare` could be had back. */
class Tank implements Gauge {
  readonly limitBytes = 1000;
  readonly reserveBytes = 100;
  used: number | undefined = 0;
  spare = 0;
  /** What is freed, once, where it is asked with too much in use. */
  frees = 0;
  looks = 0;
  exactLooks = 0;
  quick(): number | undefined {
    this.looks++;
    return this.used;
  }
  exact(quick: number, most: number): number | undefined {
    this.exactLooks++;
    if (quick - this.spare < most || this.frees === 0) return quick - this.spare;
    this.used = quick - this.frees;
    this.frees = 0;
    return this.used;
  }
}

function scene(t: TestContext, connections = 0) {
  t.mock.timers.enable({ apis: ['setTimeout', 'setImmediate'] });
  const tank = new Tank();
  const said: string[] = [];
  let time = 0;
  const memory = new MemoryAdmission({
    now: () => time,
    connections: () => connections,
    full: () => said.push('full'),
    hold: (on) => said.push(on ? 'hold' : 'go on'),
  });
  memory.watch([tank]);
  const pass = (ms: number): void => {
    for (let i = 0; i < ms; i += 50) {
      time += 50;
      t.mock.timers.tick(50);
    }
  };
  return { tank, said, memory, pass };
}

describe('memory admission', () => {
  it('holds when no more than the reserve is left, and goes on when there is half of it to spare', (t) => {
    const { tank, said, memory, pass } = scene(t);
    tank.used = 899;
    assert.equal(memory.holds, false);
    tank.used = 900;
    assert.equal(memory.holds, true);
    assert.deepEqual(said, ['hold']);
    tank.used = 851;
    pass(100);
    assert.equal(memory.holds, true);
    tank.used = 850;
    pass(50);
    assert.equal(memory.holds, false);
    assert.deepEqual(said, ['hold', 'full', 'go on']);
  });

  it('does not call the arbiter where there is room soon, as freed memory goes back a little later', (t) => {
    const { tank, said, memory, pass } = scene(t);
    tank.used = 950;
    assert.equal(memory.holds, true);
    pass(50);
    tank.used = 700;
    pass(50);
    assert.deepEqual(said, ['hold', 'go on']);
  });

  it('looks again at the next request where much was given back, whatever requests cost before', (t) => {
    const { tank, memory } = scene(t);
    tank.used = 890;
    for (let i = 0; i < 2000; i++) assert.equal(memory.holds, false);
    tank.frees = 300;
    tank.used = 910;
    let looks = tank.exactLooks;
    while (tank.exactLooks === looks) assert.equal(memory.holds, false);
    // From here each request takes 30 of the 300 that are left.
    let served = 0;
    for (looks = 0; !memory.holds; served++) tank.used = (tank.used ?? 0) + 30;
    assert.ok(served >= 5 && served <= 10, `${served} were served`);
  });

  it('does not hold for what could be had back', (t) => {
    const { tank, memory } = scene(t);
    Object.assign(tank, { used: 990, spare: 300 });
    for (let i = 0; i < 1000; i++) assert.equal(memory.holds, false);
  });

  it('serves what waited in order, one in a turn of the loop, and holds again where that fills it', (t) => {
    const { tank, memory, pass } = scene(t);
    tank.used = 950;
    pass(250);
    const served: number[] = [];
    for (let i = 0; i < 4; i++) {
      assert.equal(memory.holds, true);
      memory.wait(() => {
        served.push(i);
        tank.used = i === 1 ? 950 : 500;
      });
    }
    tank.used = 500;
    pass(50);
    assert.deepEqual(served, [0, 1]);
    tank.used = 500;
    pass(100);
    assert.deepEqual(served, [0, 1, 2, 3]);
  });

  it('says so again also where there is a little room, but not enough to go on', (t) => {
    const { tank, said, pass } = scene(t);
    tank.used = 950;
    pass(250);
    tank.used = 880;
    pass(650);
    assert.deepEqual(said, ['hold', 'full', 'full']);
  });

  it('says so again while it holds, and after ten seconds serves on until there was room again', (t) => {
    const { tank, said, memory, pass } = scene(t);
    tank.used = 950;
    pass(250);
    assert.equal(memory.holds, true);
    pass(1150);
    assert.deepEqual(said, ['hold', 'full', 'full', 'full']);
    pass(9000);
    assert.equal(said.at(-1), 'go on');
    for (let i = 0; i < 1000; i++) assert.equal(memory.holds, false);
    tank.used = 100;
    pass(250);
    tank.used = 950;
    pass(250);
    assert.equal(memory.holds, true);
  });

  it('looks once in 256 requests where memory does not grow, and before half of the room is gone where it does', (t) => {
    const { tank, memory } = scene(t);
    for (let i = 0; i < 10_000; i++) memory.holds;
    assert.ok(tank.looks <= 9 + 10_000 / 256 + 1, `${tank.looks} looks`);
    let most = 0;
    for (let i = 0; i < 2000 && !memory.holds; i++) {
      tank.used = (tank.used ?? 0) + 2;
      most = tank.used;
    }
    // Grows by 2 a request, which shows only after the first 256.
    assert.ok(most <= 902, `${most} of 900`);
  });

  it('leaves room for a request on each connection', (t) => {
    const { tank, memory } = scene(t, 20);
    let used = 0;
    for (; !memory.holds; used += 4) tank.used = used;
    // 20 × 4 beside the reserve of 100.
    assert.ok(used > 800 && used < 840, `held at ${used}`);
  });

  it('goes by what it knows where nothing can be read', (t) => {
    const { tank, memory, pass } = scene(t);
    tank.used = undefined;
    for (let i = 0; i < 600; i++) assert.equal(memory.holds, false);
    tank.used = 950;
    pass(250);
    assert.equal(memory.holds, true);
    tank.used = undefined;
    pass(500);
    assert.equal(memory.holds, true);
  });

  it('serves what waits, and all that comes, where it is told that nothing can make room, until there is', (t) => {
    const { tank, said, memory, pass } = scene(t);
    memory.releaseHold();
    tank.used = 950;
    pass(350);
    assert.equal(memory.holds, true);
    let served = false;
    memory.wait(() => {
      served = true;
    });
    memory.releaseHold();
    pass(50);
    assert.equal(served, true);
    const { looks } = tank;
    for (let i = 0; i < 1000; i++) assert.equal(memory.holds, false);
    assert.ok(tank.looks <= looks + 10, `${tank.looks - looks} looks, for requests that are served in any case`);
    tank.used = 100;
    pass(250);
    tank.used = 950;
    pass(250);
    assert.equal(memory.holds, true);
    assert.deepEqual(said, ['hold', 'full', 'go on', 'hold']);
  });

  it('has nothing collected for requests that are served in any case', (t) => {
    const { tank, memory, pass } = scene(t);
    tank.used = 950;
    pass(300);
    memory.releaseHold();
    tank.frees = 300;
    for (let i = 0; i < 1000; i++) assert.equal(memory.holds, false);
    assert.equal(tank.frees, 300);
  });

  it('serves what waits at once where there is nothing to watch any more', (t) => {
    const { tank, memory, said, pass } = scene(t);
    tank.used = 950;
    pass(250);
    assert.equal(memory.holds, true);
    let served = false;
    memory.wait(() => {
      served = true;
    });
    memory.watch([]);
    pass(50);
    assert.equal(served, true);
    assert.equal(memory.holds, false);
    assert.deepEqual(said, ['hold', 'go on']);
  });
});

describe('the gauge of the heap', () => {
  function heap(live: number) {
    const state = { used: 0, live, collections: 0 };
    const gauge = heapGauge(1000, {
      usedBytes: () => state.used,
      collect: () => {
        state.collections++;
        state.used = state.live;
      },
    });
    return { state, gauge };
  }

  it('takes garbage for room', () => {
    const { state, gauge } = heap(400);
    state.used = 900;
    assert.equal(gauge.exact(gauge.quick() ?? 0, 850), 500);
    assert.equal(state.collections, 1);
  });

  it('does not collect again before there can be something to find', () => {
    const { state, gauge } = heap(800);
    state.used = 900;
    for (const [used, collections] of [
      [900, 1],
      [849, 1],
      [850, 2],
      [800, 2],
    ] as const) {
      state.used = used;
      assert.equal(gauge.exact(used, 850), 900);
      assert.equal(state.collections, collections);
    }
  });
});

describe('the gauge of the group', () => {
  const MIB = 2 ** 20;

  /** A worker that has `all` MiB of its own in a group of 512, of which `held` stay with it when it collects. */
  function group(all: number, held: number) {
    const state = { all, held, freed: 0, others: 200, collections: 0, trims: 0 };
    const files: Record<string, () => string> = {
      current: () => `${(state.others + state.all + state.freed) * MIB}`,
      stat: () => 'inactive_file 0\nactive_file 0\nfile_mapped 0\n',
    };
    const gauge = groupGauge(
      { limitBytes: 512 * MIB, usageFile: 'current', statFile: 'stat', version: 2 },
      (file) => files[file]?.(),
      {
        allBytes: () => state.all * MIB,
        collectAll: () => {
          state.collections++;
          state.freed += state.all - state.held;
          state.all = state.held;
        },
        giveBack: () => {
          state.trims++;
          state.freed = 0;
        },
      },
    );
    const exact = (most: number) => (gauge.exact(gauge.quick() ?? 0, most * MIB) ?? 0) / MIB;
    return { state, exact };
  }

  it('collects, and gives back what that frees, where the group seems full, and not before', () => {
    const { state, exact } = group(230, 90);
    assert.equal(exact(448), 430);
    assert.equal(state.collections, 0);
    assert.equal(exact(420), 290);
    assert.deepEqual([state.collections, state.trims], [1, 1]);
  });

  it('gives back for four looks what is freed later, and collects no more before the worker has taken 8 MiB', () => {
    const { state, exact } = group(230, 230);
    assert.equal(exact(420), 430);
    assert.deepEqual([state.collections, state.trims], [1, 1]);
    Object.assign(state, { all: 150, freed: 80 });
    assert.equal(exact(420), 350);
    for (let i = 0; i < 4; i++) assert.equal(exact(340), 350);
    assert.deepEqual([state.collections, state.trims], [1, 4]);
    Object.assign(state, { all: 157.9, held: 157.9 });
    assert.equal(exact(340), 357.9);
    assert.equal(state.collections, 1);
    Object.assign(state, { all: 158, held: 158 });
    assert.equal(exact(340), 358);
    assert.equal(state.collections, 2);
  });
});
