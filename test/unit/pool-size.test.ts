import { describe, it } from 'node:test';
import { started, tell } from './pool-story.ts';

describe('another number of workers', () => {
  it('more are spawned at once, less drain at once; others take over their sockets', () => {
    tell([
      ...started(2),
      [1000, 'size 4, ?', 'ready: 2 of 4 workers are ready, spawn 3@2, spawn 4@3'],
      [1300, 'ready 3, ready 4', ''],
      [
        2000,
        'size 1, ?',
        'ready: 4 of 1 workers are ready, drain 4, drain 3, drain 2, take-over 1 by 1, take-over 2 by 1, take-over 3 by 1',
      ],
      [2100, 'exit 2, exit 3, exit 4', 'ended resize, ended resize, ended resize'],
      [3000, 'size 2', 'spawn 5@1'],
      [3300, 'ready 5', 'hand-back 1 by 1'],
      [4000, 'exit 1', 'ended crash, spawn 6@0, take-over 0 by 5, take-over 2 by 5, take-over 3 by 5'],
    ]);
  });

  it('is never below one', () => {
    for (const size of [0, -1, -100]) tell([...started(1), [1000, `size ${size}`, '']], { workers: 1 });
  });

  it('kills surplus workers that boot, which is no failure', () => {
    tell(
      [
        ...started(1),
        [1000, 'size 3', 'spawn 2@1, spawn 3@2'],
        [1100, 'size 1', 'kill 2, kill 3'],
        [1200, 'exit 2, exit 3', 'ended as wanted, ended as wanted'],
        [1300, 'size 2', 'spawn 4@1'],
      ],
      { workers: 1, crashLimit: 1 },
    );
  });

  it('is back before what was killed is gone: another is spawned at once', () => {
    tell(
      [
        ...started(1),
        [1000, 'size 2', 'spawn 2@1'],
        [1100, 'size 1', 'kill 2'],
        [1200, 'size 2', 'spawn 3@1'],
        [1300, 'ready 2', 'take-over 1 by 1'],
        [1400, 'exit 2', 'ended as wanted'],
        [1500, 'ready 3', 'hand-back 1 by 1'],
      ],
      { workers: 1 },
    );
  });

  it('leaves what serves beyond the target until the slots that stay have ready workers', () => {
    tell([
      ...started(2),
      [6000, 'exit 1', 'ended crash, spawn 3@0, take-over 0 by 2'],
      [6010, 'size 1, ?', 'ready: 1 of 1 workers are ready'],
      [6300, 'ready 3', 'drain 2, hand-back 0 by 2, take-over 1 by 3'],
      [6400, 'exit 2', 'ended resize'],
    ]);
  });

  it('leaves no more than that, the lowest slots of it', () => {
    tell(
      [
        ...started(5),
        [6000, 'exit 1, exit 2', 'ended crash, ended crash, spawn 6@0, spawn 7@1, take-over 0 by 3, take-over 1 by 4'],
        [6010, 'size 3', ''],
        [6300, 'ready 6', 'drain 5, hand-back 0 by 3, take-over 4 by 3'],
        [6310, 'ready 7', 'drain 4, hand-back 1 by 4, take-over 3 by 6'],
      ],
      { workers: 5 },
    );
    tell(
      [
        ...started(4),
        [6000, 'exit 1', 'ended crash, spawn 5@0, take-over 0 by 2'],
        [6010, 'size 2', 'drain 4, take-over 3 by 3'],
        [6300, 'ready 5', 'drain 3, hand-back 0 by 2, take-over 2 by 2, take-over 3 by 5'],
      ],
      { workers: 4 },
    );
  });

  it('drains silent workers first', () => {
    tell(
      [
        ...started(3),
        [6000, 'silent 2', ''],
        [9500, 'exit 1', '+9000 take-over 1 by 1, ended crash, spawn 4@0, take-over 0 by 3, take-over 1 by 3'],
        [9510, 'size 1', 'drain 2'],
        [9800, 'ready 4', 'drain 3, hand-back 0 by 3, take-over 1 by 4, take-over 2 by 4'],
      ],
      { workers: 3 },
    );
  });

  it('leaves it also where what stays is stuck, and where it does not boot', () => {
    tell([
      ...started(2),
      [1000, 'silent 1', ''],
      [5000, 'size 1', '+4000 take-over 0 by 2'],
      [31_010, '', '+31000 kill 1, +31000 spawn 3@0'],
      [31_020, 'exit 1, exit 3', 'ended stall, ended boot'],
      [32_000, '?', '+31120 spawn 4@0, ready: 1 of 1 workers are ready'],
      [32_010, 'ready 4', 'drain 2, hand-back 0 by 2, take-over 1 by 4'],
    ]);
  });

  describe('that comes and goes while workers drain', () => {
    it('starts a worker beside one that drains, and no third one in its slot', () => {
      tell(
        [
          ...started(2),
          [1000, 'size 1', 'drain 2, take-over 1 by 1'],
          [1100, 'size 2', 'spawn 3@1'],
          [1400, 'ready 3', 'hand-back 1 by 1'],
          [2000, 'size 1', 'drain 3, take-over 1 by 1'],
          [2100, 'size 2', ''],
          [2200, 'exit 3', 'ended resize, spawn 4@1'],
          [2500, 'ready 4', 'hand-back 1 by 1'],
        ],
        { workers: 2 },
      );
    });

    it('starts it in one slot at a time, and in others at once', () => {
      tell(
        [
          ...started(4),
          [1000, 'size 2', 'drain 4, drain 3, take-over 2 by 1, take-over 3 by 2'],
          [1100, 'size 5', 'spawn 5@2, spawn 6@4'],
          [1400, 'ready 5, ready 6', 'hand-back 2 by 1'],
          [2000, 'exit 3', 'ended resize, spawn 7@3'],
          [2300, 'ready 7', 'hand-back 3 by 2'],
        ],
        { workers: 4 },
      );
    });

    it('counts the surplus of a reload, which waits for such drains in turn', () => {
      tell(
        [
          ...started(2),
          [1000, 'size 3', 'spawn 3@2'],
          [1300, 'ready 3', ''],
          [2000, 'size 2', 'drain 3, take-over 2 by 1'],
          [2100, 'HUP', ''],
          [2200, 'size 3', 'spawn 4@2'],
          [2500, 'ready 4', 'hand-back 2 by 1'],
          [3000, 'exit 3', 'ended resize, spawn 5@0'],
          [3300, 'ready 5', 'drain 1'],
        ],
        { workers: 2 },
      );
      tell(
        [
          ...started(3),
          [1000, 'HUP', 'spawn 4@0'],
          [1300, 'ready 4', 'drain 1'],
          [2000, 'size 2', 'drain 3, take-over 2 by 2'],
          [2100, 'size 3', ''],
          [2200, 'exit 1', 'ended reload, spawn 5@2'],
        ],
        { workers: 3 },
      );
    });

    it('does not keep a slot from its worker that lost it by a death', () => {
      tell(
        [
          ...started(3),
          [1000, 'size 2', 'drain 3, take-over 2 by 1'],
          [1100, 'size 3', 'spawn 4@2'],
          [1400, 'ready 4', 'hand-back 2 by 1'],
          [6000, 'exit 1', 'ended crash, spawn 5@0, take-over 0 by 2'],
          [6010, 'broke 4', 'spawn 6@2, take-over 2 by 2'],
        ],
        { workers: 3 },
      );
      tell([
        ...started(2),
        [6000, 'HUP', 'spawn 3@0'],
        [6300, 'ready 3', 'drain 1'],
        [6310, 'exit 3', 'ended crash, warn, spawn 4@0, take-over 0 by 2'],
      ]);
    });
  });

  it('during the start: it is over when as many are ready as are wanted now', () => {
    tell([
      [0, '', 'spawn 1@0, spawn 2@1'],
      [100, 'ready 1', ''],
      [200, 'size 1', 'kill 2'],
      [300, 'exit 2, ?', 'ended as wanted, ready: 1 of 1 workers are ready'],
    ]);
  });
});
