import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Row, SETTINGS, Story, tell } from './pool-story.ts';

describe('the start', () => {
  it('spawns a worker for each slot at once, and is ready when all are', () => {
    tell(
      [
        [0, '?', 'not ready: starting: 0 of 3 workers are ready, spawn 1@0, spawn 2@1, spawn 3@2'],
        [300, 'ready 2, ?', 'not ready: starting: 1 of 3 workers are ready'],
        [310, 'ready 1, ?', 'not ready: starting: 2 of 3 workers are ready'],
        [320, 'ready 3, ?', 'ready: 3 of 3 workers are ready'],
        [60_000, '?', 'ready: 3 of 3 workers are ready'],
      ],
      { workers: 3 },
    );
  });

  it('lets no more boot at the same time than it may', () => {
    tell(
      [
        [0, '', 'spawn 1@0, spawn 2@1'],
        [300, 'ready 2, ?', 'not ready: starting: 1 of 5 workers are ready, spawn 3@2'],
        [310, 'ready 1', 'spawn 4@3'],
        [600, 'ready 3', 'spawn 5@4'],
        [610, 'ready 4', ''],
        [900, 'ready 5, ?', 'ready: 5 of 5 workers are ready'],
      ],
      { workers: 5, bootsAtOnce: 2 },
    );
  });

  it('does not let boots that wait for something keep the others from theirs', () => {
    tell(
      [
        [0, '', 'spawn 1@0'],
        [4999, '', ''],
        [12_000, '', '+5000 spawn 2@1, +10000 spawn 3@2'],
        [12_100, 'ready 3', ''],
      ],
      { workers: 3, bootsAtOnce: 1 },
    );
  });

  it('does not count a boot that was killed', () => {
    tell(
      [
        [0, '', 'spawn 1@0'],
        [2000, '', 'kill 1, spawn 2@1'],
        [2010, 'exit 1', 'ended boot'],
        [2500, 'ready 2', 'spawn 3@0'],
      ],
      { workers: 2, bootsAtOnce: 1, bootTimeout: 2 },
    );
  });

  it('ignores what it does not know: other workers, a second ready, a leave and an exception of a booting worker', () => {
    tell([
      [0, '', 'spawn 1@0, spawn 2@1'],
      [100, 'ready 7, exit 7, broke 7, leave 7', 'ended as wanted'],
      [200, 'broke 1, leave 1', ''],
      [300, 'ready 1, ready 2, ready 1, ?', 'ready: 2 of 2 workers are ready'],
    ]);
  });

  it('tries again after 100 ms, then twice as long each time, up to 10 s', () => {
    const waits = [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000];
    const rows: Row[] = [[0, '', 'spawn 1@0']];
    let now = 0;
    for (const [i, wait] of waits.entries()) {
      rows.push([now, `exit ${i + 1}`, 'ended boot']);
      now += wait;
      rows.push([now - 1, '', ''], [now, '', `spawn ${i + 2}@0`]);
    }
    tell(rows, { workers: 1, crashLimit: 10 });
  });

  it('wakes up for the next try by itself', () => {
    tell([
      [0, '', 'spawn 1@0, spawn 2@1'],
      [10, 'exit 1', 'ended boot'],
      [20, 'exit 2', 'ended boot'],
      [5000, '', '+220 spawn 3@0, +220 spawn 4@1'],
    ]);
  });

  it('counts failures in a row: a worker that becomes ready ends the row', () => {
    tell(
      [
        [0, '', 'spawn 1@0, spawn 2@1'],
        [10, 'exit 1', 'ended boot'],
        [110, 'ready 2', 'spawn 3@0'],
        [120, 'exit 3', 'ended boot'],
        [220, '', 'spawn 4@0'],
        [230, 'exit 4', 'ended boot, release, drain 2 quick'],
      ],
      { crashLimit: 2 },
    );
  });

  it('gives up with 3 after as many failures in a row as the crash limit, and stops the others quickly', () => {
    tell(
      [
        [0, '', 'spawn 1@0, spawn 2@1, spawn 3@2'],
        [10, 'ready 1', ''],
        [20, 'exit 2', 'ended boot'],
        [120, '', 'spawn 4@1'],
        [130, 'exit 4', 'ended boot, kill 3, release, drain 1 quick'],
        [140, 'exit 3', 'ended as wanted'],
        [150, 'exit 1', 'ended as wanted, halt boot'],
      ],
      { workers: 3, crashLimit: 2 },
    );
  });

  it('gives up with 4 at once where the app cannot be loaded', () => {
    tell([
      [0, '', 'spawn 1@0, spawn 2@1'],
      [50, 'fatal 2', 'ended boot, kill 1, release'],
      [60, 'fatal 1', 'ended as wanted, halt app'],
    ]);
  });

  it('tells why it gives up, and keeps to that when it is told to stop meanwhile', () => {
    const boot = '1 workers in a row failed to boot, the last: exit code 1';
    for (const signal of ['', 'TERM', 'INT', 'INT, INT']) {
      const halt = (exit: string) => {
        const story = new Story({ ...SETTINGS, crashLimit: 1 });
        for (const events of ['', `${exit} 1`, signal]) story.at(0, events);
        return story.decisions(10, 'exit 2').find((d) => d.do === 'halt');
      };
      assert.deepEqual(halt('exit'), { do: 'halt', exit: 'boot', why: boot }, signal);
      assert.deepEqual(halt('fatal'), { do: 'halt', exit: 'app', why: 'no such app' }, signal);
    }
  });

  it('kills a worker that is not ready in time, which is a failure to boot', () => {
    tell(
      [
        [0, '', 'spawn 1@0'],
        [60_010, 'exit 1', '+60000 kill 1, ended boot'],
        // Like any failed boot, it is tried again after a while.
        [120_120, 'exit 2, ?', '+60110 spawn 2@0, +120110 kill 2, ended boot, not ready: draining, release, halt boot'],
      ],
      { workers: 1, crashLimit: 2 },
    );
  });

  it('counts a worker that says ready after it was killed as a failure to boot', () => {
    tell(
      [
        [0, '', 'spawn 1@0'],
        [60_000, '', 'kill 1'],
        [60_001, 'ready 1, exit 1', 'ended boot, release, halt boot'],
      ],
      { workers: 1, crashLimit: 1 },
    );
  });

  it('is not over with a worker that says ready after it was killed', () => {
    tell([
      [0, '', 'spawn 1@0, spawn 2@1'],
      [10, 'ready 1', ''],
      [60_000, '', 'kill 2'],
      [60_001, 'ready 2, ?', 'not ready: starting: 1 of 2 workers are ready, take-over 1 by 1'],
      [60_002, 'exit 2', 'ended boot'],
      [60_110, 'ready 3, ?', '+60102 spawn 3@1, ready: 2 of 2 workers are ready, hand-back 1 by 1'],
    ]);
  });
});
