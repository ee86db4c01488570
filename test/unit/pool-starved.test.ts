import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Row, SETTINGS, Story, started, tell } from './pool-story.ts';

describe('an arbiter that got no CPU for more than two seconds', () => {
  it('gives the gap to workers that were silent before', () => {
    tell([
      ...started(2),
      [1000, 'silent 1', ''],
      [11_000, '', '+4000 take-over 0 by 2'],
      [611_000, 'frozen', ''],
      [632_000, '', '+631000 kill 1, +631000 spawn 3@0'],
    ]);
  });

  it('does not give it to a worker whose heartbeat came after it', () => {
    tell([
      ...started(2),
      [1000, '', ''],
      [601_000, 'frozen, silent 1', ''],
      [632_000, '', '+604000 take-over 0 by 2, +631000 kill 1, +631000 spawn 3@0'],
    ]);
  });

  it('gives it to workers that boot', () => {
    tell([
      [0, '', 'spawn 1@0, spawn 2@1'],
      [100_000, 'frozen', ''],
      [100_010, 'ready 1', ''],
      [161_000, '', '+160000 kill 2'],
    ]);
  });

  it('gives it to workers that drain for their replacement', () => {
    tell(
      [
        ...started(1),
        [1000, 'leave 1', 'spawn 2@0'],
        [1500, 'ready 2', 'drain 1'],
        [61_500, 'frozen', ''],
        [87_000, '', '+86500 kill 1'],
      ],
      { workers: 1 },
    );
  });

  it('does not hasten the drain of a stop, nor extend it', () => {
    tell(
      [
        ...started(1),
        [1000, 'TERM', 'closing 1, release, drain 1'],
        [9_000, 'frozen', ''],
        [27_000, '', '+26000 kill 1'],
      ],
      { workers: 1 },
    );
  });

  it('gives it to all, even if one of them also waited for a CPU', () => {
    tell([
      ...started(2),
      [1000, 'silent 1', ''],
      [601_000, 'frozen, waited 1 1500', ''],
      [630_000, '', '+604000 take-over 0 by 2'],
      [632_000, '', '+631000 kill 1, +631000 spawn 3@0'],
    ]);
  });

  it('gives it to a worker that sent a heartbeat after the last turn before it', () => {
    const story = new Story({ ...SETTINGS, workers: 1 });
    for (const events of ['', 'ready 1, silent 1']) story.at(0, events);
    story.pool.due(1_000);
    story.pool.heartbeat(1, 1_001);
    assert.deepEqual(story.pool.due(600_000), []);
  });

  it('a shorter gap extends no deadline', () => {
    tell([
      ...started(2),
      [1000, 'silent 1', ''],
      [29_100, '', '+4000 take-over 0 by 2'],
      [31_100, 'frozen', 'kill 1, spawn 3@0'],
    ]);
  });
});

describe('a worker that waited for a CPU', () => {
  it('is given that time, and no more', () => {
    tell([
      ...started(2),
      [1000, 'silent 1', ''],
      [31_000, 'waited 1 20000', '+4000 take-over 0 by 2'],
      [51_000, 'waited 1 15000', ''],
      [67_000, '', '+66000 kill 1, +66000 spawn 3@0'],
    ]);
  });

  it('does not get it twice where the arbiter waited as well, nor more than there was', () => {
    tell([
      ...started(2),
      [1000, 'silent 1', ''],
      [101_000, 'frozen, waited 1 120000', ''],
      [132_000, '', '+104000 take-over 0 by 2, +131000 kill 1, +131000 spawn 3@0'],
    ]);
  });

  it('has it for its boot too', () => {
    tell(
      [
        [0, '', 'spawn 1@0'],
        [60_000, 'waited 1 30000', ''],
        [90_100, '', '+90000 kill 1'],
      ],
      {
        workers: 1,
      },
    );
  });

  it('has no credit for later: a heartbeat resets it', () => {
    tell([
      ...started(2),
      [1000, 'waited 1 600000', ''],
      [1000, 'silent 1', ''],
      [31_100, '', '+4000 take-over 0 by 2, +31000 kill 1, +31000 spawn 3@0'],
    ]);
  });

  it('has no more time to drain: that deadline is the orchestrator’s', () => {
    tell([...started(1), [1000, 'TERM', 'closing 1, release, drain 1'], [26_000, 'waited 1 9000', 'kill 1']], {
      workers: 1,
    });
  });

  it('is given it where it drains for its replacement', () => {
    tell(
      [
        ...started(1),
        [1000, 'HUP', 'spawn 2@0'],
        [1500, 'ready 2', 'drain 1'],
        [2500, 'waited 1 400', ''],
        [3000, '', '+2900 kill 1'],
      ],
      { workers: 1, reload: true },
    );
  });

  it('is given it in a quick stop, which is not over before, and others are not', () => {
    tell([
      ...started(2),
      [1000, 'INT', 'release, drain 1 quick, drain 2 quick'],
      [2000, 'waited 1 4000', 'kill 2'],
      [3000, 'exit 2', 'ended as wanted'],
      [8000, '', '+6000 kill 1, halt failure'],
    ]);
  });

  it('is given it in a quick stop until the time for a stop in order is over, or a second INT comes', () => {
    const quit: Row[] = [...started(1), [1000, 'INT', 'release, drain 1 quick'], [2000, 'waited 1 600000', '']];
    tell([...quit, [27_000, '', '+26000 kill 1']], { workers: 1 });
    tell([...quit, [3000, 'INT', 'kill 1']], { workers: 1 });
    tell(
      [
        ...started(1),
        [1000, 'TERM', 'closing 1, release, drain 1'],
        [24_000, 'INT', 'drain 1 quick'],
        [25_000, 'waited 1 600000', ''],
        [27_000, '', '+26000 kill 1'],
      ],
      { workers: 1 },
    );
  });

  it('is given what it waited in its drain before a heartbeat too, once', () => {
    const story = new Story({ ...SETTINGS, workers: 1, reload: true });
    for (const events of ['', 'ready 1']) story.at(0, events);
    story.pool.heartbeat(1, 500, 9_000);
    story.at(1_000, 'HUP');
    story.at(1_500, 'ready 2');
    story.pool.heartbeat(1, 1_700, 100);
    story.pool.heartbeat(1, 2_400, 300);
    assert.deepEqual(story.at(2_500, 'waited 1 100'), []);
    assert.deepEqual(story.at(3_000, ''), ['kill 1']);
  });

  it('is asked about when it is late, and not before', () => {
    const story = new Story({ ...SETTINGS, workers: 2, bootsAtOnce: 2 });
    story.at(0, '');
    story.at(0, 'ready 1, silent 1');
    const asked: number[] = [];
    const kills = (now: number) =>
      story.pool.due(now, (workerId) => asked.push(workerId) * 0).flatMap((d) => (d.do === 'kill' ? [d.workerId] : []));
    for (let at = 1_000; at < 30_000; at += 1_000) {
      story.pool.heartbeat(2, at);
      assert.deepEqual(kills(at), []);
    }
    assert.deepEqual(asked, []);
    assert.deepEqual(kills(30_000), [1]);
    assert.deepEqual(asked, [1]);
    assert.deepEqual(kills(31_000), []);
    assert.deepEqual(asked, [1]);
  });
});

describe('a worker that misses three heartbeats', () => {
  it('has a neighbour accept for it until its next heartbeat', () => {
    tell([
      ...started(2),
      [1000, 'silent 1', ''],
      [3999, '', ''],
      [4000, '', 'take-over 0 by 2'],
      [9000, 'speaks 1', 'hand-back 0 by 2'],
      [20_000, '', ''],
    ]);
  });

  it('has it at that moment, whenever the loop turned before', () => {
    tell([...started(2), [1000, 'silent 1', ''], [1500, '', ''], [5000, '', '+4000 take-over 0 by 2']]);
  });

  it('also without a timeout, when silence never kills it', () => {
    tell([...started(2), [1000, 'silent 1', ''], [3_600_000, '', '+4000 take-over 0 by 2']], { timeout: 0 });
  });

  it('and with one that is shorter only when it is killed', () => {
    tell([...started(2), [1000, 'silent 1', ''], [3100, '', '+3000 kill 1, +3000 spawn 3@0, +3000 take-over 0 by 2']], {
      timeout: 2,
    });
  });

  it('needs a responsive worker: if all are silent, as with no CPU, nothing is done', () => {
    tell(
      [
        ...started(3),
        [1000, 'silent 1, silent 2, silent 3', ''],
        [8000, '', ''],
        [8500, 'speaks 2', 'take-over 0 by 2, take-over 2 by 2'],
        [8600, 'speaks 1, speaks 3', 'hand-back 0 by 2, hand-back 2 by 2'],
        [20_000, '', ''],
      ],
      { workers: 3 },
    );
  });

  it('loses what it took over to a responsive worker, and does not get it back', () => {
    tell(
      [
        ...started(3),
        [100, 'exit 3', 'ended crash, spawn 4@2, take-over 2 by 1'],
        [1000, 'silent 1', ''],
        [4000, '', 'take-over 0 by 2, hand-back 2 by 1, take-over 2 by 2'],
        [9000, 'speaks 1', 'hand-back 0 by 2'],
        [20_000, 'ready 4', 'hand-back 2 by 2'],
      ],
      { workers: 3 },
    );
  });

  it('is not the one to take over while there are others', () => {
    tell(
      [
        ...started(3),
        [1000, 'silent 1', ''],
        [5000, '', '+4000 take-over 0 by 2'],
        [5100, 'exit 3', 'ended crash, spawn 4@2, take-over 2 by 2'],
        [5200, 'exit 2', 'ended crash, spawn 5@1, take-over 1 by 1, take-over 2 by 1'],
      ],
      { workers: 3 },
    );
  });

  it('is no worse off for an arbiter that did not run', () => {
    tell([...started(2), [1000, '', ''], [61_000, 'frozen, silent 1, silent 2', ''], [63_900, '', '']]);
  });

  it('is handed back once its replacement is there', () => {
    tell([
      ...started(2),
      [1000, 'silent 1', ''],
      [31_500, '', '+4000 take-over 0 by 2, +31000 kill 1, +31000 spawn 3@0'],
      [31_600, 'exit 1, ready 3', 'ended stall, hand-back 0 by 2'],
    ]);
  });
});
