import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SETTINGS, Story, started, tell } from './pool-story.ts';

describe('a reload', () => {
  it('has new settings for the workers that it starts, and leaves the others theirs', () => {
    const story = new Story({ ...SETTINGS, timeout: 30, bootTimeout: 60, workers: 1 });
    for (const [at, events] of started(1)) story.at(at, events);
    story.pool.reload({ ...SETTINGS, timeout: 3, bootTimeout: 7, workers: 1 });
    assert.deepEqual(story.at(100, 'silent 1'), ['spawn 2@0']);
    assert.deepEqual(story.at(7_050, ''), [], 'the old one is silent for longer than the new timeout');
    assert.deepEqual(story.at(7_200, ''), ['+7100 kill 2']);
  });

  it('replaces one worker after the other: ready before the old one drains, ended before the next one starts', () => {
    tell([
      ...started(2),
      [1000, 'HUP, ?', 'ready: 2 of 2 workers are ready, spawn 3@0'],
      [1300, 'ready 3, ?', 'ready: 3 of 2 workers are ready, drain 1'],
      [2300, '?', 'ready: 2 of 2 workers are ready'],
      [2310, 'exit 1', 'ended reload, spawn 4@1'],
      [2610, 'ready 4', 'drain 2'],
      [2620, 'exit 2', 'ended reload'],
      [600_000, '?', 'ready: 2 of 2 workers are ready'],
    ]);
  });

  it('leaves what waits in the accept queue to the new worker, where there is one', () => {
    const drained = (rows: readonly (readonly [number, string])[]): unknown[] => {
      const story = new Story(SETTINGS);
      for (const [at, events] of [...started(2), [1000, 'HUP'] as const]) story.at(at, events);
      const decisions = rows.flatMap(([at, events]) => story.decisions(at, events));
      return decisions.flatMap((d) => (d.do === 'drain' ? [[d.workerId, d.drainQueue]] : []));
    };
    assert.deepEqual(drained([[1300, 'ready 3']]), [[1, false]]);
    // At a stop the new one goes too, and a surplus worker has no successor.
    assert.deepEqual(drained([[1300, 'TERM']]), [
      [1, true],
      [2, true],
    ]);
    assert.deepEqual(drained([[1300, 'size 1']]), [[2, true]]);
  });

  it('kills an old worker that is not done at the graceful timeout, and goes on', () => {
    tell(
      [
        ...started(2),
        [1000, 'HUP', 'spawn 3@0'],
        [1300, 'ready 3', 'drain 1'],
        [30_000, 'exit 1', '+26300 kill 1, ended reload, spawn 4@1'],
      ],
      { gracefulTimeout: 25 },
    );
  });

  it('is given up where the new generation does not boot; the old one serves on and its crashes are made good', () => {
    tell([
      ...started(2),
      [1000, 'HUP', 'spawn 3@0'],
      [1300, 'exit 3, ?', 'ended boot, ready: 2 of 2 workers are ready, give up'],
      [1310, 'exit 2', 'ended crash, spawn 4@1, take-over 1 by 1'],
      [1610, 'ready 4', 'hand-back 1 by 1'],
      [60_000, '', ''],
    ]);
  });

  it('is given up also where the app is gone, or where the new worker is not ready in time', () => {
    tell([...started(1), [1000, 'HUP', 'spawn 2@0'], [1100, 'fatal 2', 'ended boot, give up'], [99_000, '', '']], {
      workers: 1,
    });
    tell([...started(1), [1000, 'HUP', 'spawn 2@0'], [62_000, 'exit 2', '+61000 kill 2, ended boot, give up']], {
      workers: 1,
    });
  });

  it('does not wait for the boot of an earlier one that hangs', () => {
    tell(
      [
        ...started(1),
        [1000, 'HUP', 'spawn 2@0'],
        [2000, 'HUP', ''],
        [6100, '', '+6000 kill 2'],
        [6200, 'exit 2', 'ended as wanted, spawn 3@0'],
        [6500, 'ready 3', 'drain 1'],
        [6600, 'exit 1', 'ended reload'],
      ],
      { workers: 1 },
    );
  });

  it('that was given up says why, and counts for nothing later', () => {
    const story = new Story({ ...SETTINGS, workers: 1, crashLimit: 2 });
    for (const events of ['', 'ready 1']) story.at(0, events);
    for (let workerId = 2; workerId < 12; workerId++) {
      assert.deepEqual(story.at(workerId * 1000, 'HUP'), [`spawn ${workerId}@0`]);
      assert.deepEqual(story.decisions(workerId * 1000, `exit ${workerId}`), [
        { do: 'give-up-reload', why: 'exit code 1' },
      ]);
    }
    assert.deepEqual(story.at(20_000, 'exit 1'), ['ended crash', 'spawn 12@0']);
  });

  it('started while another is under way begins anew: no worker of the first stays', () => {
    tell([
      ...started(2),
      [1000, 'HUP', 'spawn 3@0'],
      [1300, 'ready 3', 'drain 1'],
      [1400, 'HUP', ''],
      [1500, 'exit 1', 'ended reload, spawn 4@1'],
      [1800, 'ready 4', 'drain 2'],
      [1900, 'exit 2', 'ended reload, spawn 5@0'],
      [2200, 'ready 5', 'drain 3'],
      [2300, 'exit 3', 'ended reload'],
      [600_000, '?', 'ready: 2 of 2 workers are ready'],
    ]);
  });

  it('started while the replacement boots takes that one and replaces it in turn', () => {
    tell([
      ...started(2),
      [1000, 'HUP', 'spawn 3@0'],
      [1100, 'HUP, HUP, HUP, HUP, HUP', ''],
      [1300, 'ready 3', 'drain 1'],
      [1400, 'exit 1', 'ended reload, spawn 4@1'],
      [1700, 'ready 4', 'drain 2'],
      [1800, 'exit 2', 'ended reload, spawn 5@0'],
      [2100, 'ready 5', 'drain 3'],
      [2200, 'exit 3', 'ended reload'],
      [600_000, '?', 'ready: 2 of 2 workers are ready'],
    ]);
  });

  it('is not given up for a worker that was started before it', () => {
    tell(
      [
        ...started(1),
        [1000, 'HUP', 'spawn 2@0'],
        [1100, 'HUP', ''],
        [1200, 'exit 2', 'ended boot'],
        [1600, 'ready 3', '+1300 spawn 3@0, drain 1'],
      ],
      { workers: 1 },
    );
  });

  it('during the start replaces what started before it', () => {
    tell([
      [0, '', 'spawn 1@0, spawn 2@1'],
      [100, 'ready 1, HUP', ''],
      [200, 'ready 2, ?', 'ready: 2 of 2 workers are ready, spawn 3@0'],
      [500, 'ready 3', 'drain 1'],
      [600, 'exit 1', 'ended reload, spawn 4@1'],
      [900, 'ready 4', 'drain 2'],
    ]);
  });

  it('ends the waiting after failures to boot', () => {
    tell(
      [
        [0, '', 'spawn 1@0'],
        [0, 'exit 1', 'ended boot'],
        [100, '', 'spawn 2@0'],
        [110, 'exit 2', 'ended boot'],
        [120, 'HUP', 'spawn 3@0'],
      ],
      { workers: 1 },
    );
  });

  it('and a crash beside it: made good at once, with one process too many at most', () => {
    tell([
      ...started(2),
      [1000, 'HUP', 'spawn 3@0'],
      [1100, 'exit 2', 'ended crash, spawn 4@1, take-over 1 by 1'],
      [1200, 'exit 1', 'ended crash'],
      [1300, 'ready 3', 'take-over 1 by 3'],
      [1400, 'ready 4', 'hand-back 1 by 3'],
      [600_000, '?', 'ready: 2 of 2 workers are ready'],
    ]);
  });

  it('goes back to the number of workers that was configured', () => {
    tell([
      ...started(2),
      [1000, 'size 3', 'spawn 3@2'],
      [1300, 'ready 3', ''],
      [2000, 'HUP', 'drain 3, take-over 2 by 1'],
      [2100, 'exit 3', 'ended resize, spawn 4@0'],
      [2400, 'ready 4', 'drain 1, take-over 2 by 2'],
    ]);
  });
});

describe('a worker that leaves', () => {
  it('serves until its replacement is ready', () => {
    tell([
      ...started(2),
      [1000, 'leave 2, ?', 'ready: 2 of 2 workers are ready, spawn 3@1'],
      [1300, 'ready 3', 'drain 2'],
      [1400, 'exit 2', 'ended reload'],
      [600_000, '', ''],
    ]);
  });

  it('waits for another that leaves', () => {
    tell(
      [
        ...started(3),
        [1000, 'leave 2, leave 3', 'spawn 4@1'],
        [1300, 'ready 4', 'drain 2'],
        [1400, 'exit 2', 'ended reload, spawn 5@2'],
        [1700, 'ready 5', 'drain 3'],
      ],
      { workers: 3 },
    );
  });

  it('stays while its replacement does not boot, however often that is', () => {
    tell(
      [
        ...started(1),
        [1000, 'leave 1', 'spawn 2@0'],
        [1100, 'exit 2', 'ended boot'],
        [1300, 'exit 3', '+1200 spawn 3@0, ended boot'],
        [1600, 'exit 4, ?', '+1500 spawn 4@0, ended boot, ready: 1 of 1 workers are ready'],
        [2100, 'ready 5', '+2000 spawn 5@0, drain 1'],
      ],
      { workers: 1, crashLimit: 2 },
    );
  });

  it('and crashes before that is a crash, made good by the replacement', () => {
    tell([
      ...started(2),
      [1000, 'leave 2', 'spawn 3@1'],
      [1100, 'exit 2', 'ended crash, take-over 1 by 1'],
      [1300, 'ready 3', 'hand-back 1 by 1'],
    ]);
  });
});
