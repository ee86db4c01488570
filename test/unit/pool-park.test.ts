import { describe, it } from 'node:test';
import { type Row, started, tell } from './pool-story.ts';

describe('SIGWINCH', () => {
  const parked: Row[] = [
    ...started(2),
    [1000, 'WINCH, ?', 'not ready: workers are parked (SIGWINCH); SIGHUP starts them, drain 1, drain 2'],
  ];

  it('drains all workers and keeps the arbiter; HUP starts them again', () => {
    tell([
      ...parked,
      [1500, 'exit 1, exit 2', 'ended as wanted, ended as wanted'],
      [600_000, 'WINCH', ''],
      [600_010, 'HUP, ?', 'not ready: no worker is ready, spawn 3@0, spawn 4@1'],
      [600_310, 'ready 4, ?', 'ready: 1 of 2 workers are ready, take-over 0 by 4'],
      [600_320, 'ready 3, ?', 'ready: 2 of 2 workers are ready, hand-back 0 by 4'],
    ]);
  });

  it('kills at the graceful timeout', () => {
    tell([...parked, [30_000, 'exit 1, exit 2', '+26000 kill 1, +26000 kill 2, ended as wanted, ended as wanted']]);
  });

  it('kills what boots, which is no failure', () => {
    tell(
      [
        [0, '', 'spawn 1@0, spawn 2@1'],
        [100, 'WINCH', 'kill 1, kill 2'],
        [110, 'exit 1, exit 2', 'ended as wanted, ended as wanted'],
        [5000, 'HUP', 'spawn 3@0, spawn 4@1'],
      ],
      { crashLimit: 1 },
    );
  });

  it('HUP starts new ones although the old ones still drain', () => {
    tell([
      ...parked,
      [1100, 'HUP', 'spawn 3@0, spawn 4@1'],
      [1400, 'ready 3, ready 4', ''],
      [1500, 'exit 1, exit 2', 'ended as wanted, ended as wanted'],
    ]);
  });

  it('and HUP again: no third one in a slot where two drain', () => {
    tell([
      ...parked,
      [1100, 'HUP', 'spawn 3@0, spawn 4@1'],
      [1400, 'ready 3, ready 4', ''],
      [1500, 'WINCH', 'drain 3, drain 4'],
      [1600, 'HUP', ''],
      [1700, 'exit 1', 'ended as wanted, spawn 5@0'],
      [1800, 'exit 4', 'ended as wanted, spawn 6@1'],
    ]);
  });

  it('and TERM: the drain goes on, and then it is over', () => {
    tell([...parked, [2000, 'TERM', 'release'], [3000, 'exit 1, exit 2', 'ended as wanted, ended as wanted, halt ok']]);
    tell([...parked, [2000, 'exit 1, exit 2', 'ended as wanted, ended as wanted'], [3000, 'TERM', 'release, halt ok']]);
  });
});
