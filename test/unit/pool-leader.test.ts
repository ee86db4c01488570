import { describe, it } from 'node:test';
import { type Row, started, tell } from './pool-story.ts';

describe('the leader', () => {
  const led: Row[] = [...started(2), [1000, 'seek 1, seek 2', 'lead 1']];

  it('is the first ready worker that asks; before, none leads', () => {
    tell([
      [0, '', 'spawn 1@0, spawn 2@1'],
      [100, 'seek 1, seek 2', ''],
      [300, 'ready 2', 'lead 2'],
      [310, 'ready 1', ''],
      [320, 'seek 1', ''],
    ]);
  });

  it('is followed by another as soon as it is dead', () => {
    tell([...led, [9000, 'exit 1', 'ended crash, spawn 3@0, lead 2, take-over 0 by 2']]);
  });

  it('leads until it is dead although it is stuck and was killed', () => {
    tell([
      ...led,
      [2000, 'silent 1', ''],
      [32_100, '', '+5000 take-over 0 by 2, +32000 kill 1, +32000 spawn 3@0'],
      [32_400, 'seek 3, ready 3', 'hand-back 0 by 2'],
      [33_000, 'exit 1', 'ended stall, lead 2'],
    ]);
  });

  it('is followed in a reload when it has resigned; a worker of the new release comes first', () => {
    tell([
      ...led,
      [9000, 'HUP', 'spawn 3@0'],
      [9300, 'seek 3, ready 3', 'drain 1'],
      [9400, 'resign 1', 'lead 3'],
      [9500, 'exit 1', 'ended reload, spawn 4@1'],
      [9800, 'seek 4, ready 4', 'drain 2'],
    ]);
  });

  it('is followed when it has ended, if it never resigns', () => {
    tell([
      ...led,
      [9000, 'HUP', 'spawn 3@0'],
      [9300, 'seek 3, ready 3', 'drain 1'],
      [34_350, '', '+34300 kill 1'],
      [34_400, 'exit 1', 'ended reload, spawn 4@1, lead 3'],
    ]);
  });

  it('is never a worker that is silent, and is one that is about to drain if there is no other', () => {
    tell([
      ...started(2),
      [1000, 'silent 1', ''],
      [5000, 'seek 1', '+4000 take-over 0 by 2'],
      [5100, 'leave 2', 'spawn 3@1'],
      [5200, 'seek 2', 'lead 2'],
    ]);
  });

  it('resigns at the stop, and none follows', () => {
    tell([
      ...led,
      [9000, 'TERM', 'closing 1, closing 2, release, drain 1, drain 2'],
      [9100, 'resign 1', ''],
      [9200, 'exit 1, exit 2', 'ended as wanted, ended as wanted, halt ok'],
    ]);
  });

  it('is chosen anew after parking', () => {
    tell([
      ...led,
      [9000, 'WINCH', 'drain 1, drain 2'],
      [9100, 'resign 1, exit 2', 'ended as wanted'],
      [9200, 'HUP', 'spawn 3@0, spawn 4@1'],
      [9500, 'seek 3, ready 3', 'lead 3, take-over 1 by 3'],
    ]);
  });
});
