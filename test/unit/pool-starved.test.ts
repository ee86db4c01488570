import { describe, it } from 'node:test';
import { started, tell } from './pool-story.ts';

describe('an arbiter that got no CPU for more than two seconds', () => {
  it('gives the gap to workers that were silent before', () => {
    tell([
      ...started(2),
      [1000, 'silent 1', ''],
      [11_000, '', ''],
      [611_000, 'frozen', ''],
      [632_000, '', '+631000 kill 1, +631000 spawn 3@0, +631000 cover 0 by 2'],
    ]);
  });

  it('does not give it to a worker whose beat came after it', () => {
    tell([
      ...started(2),
      [1000, '', ''],
      [601_000, 'frozen, silent 1', ''],
      [632_000, '', '+631000 kill 1, +631000 spawn 3@0, +631000 cover 0 by 2'],
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

  it('is no excuse below that', () => {
    tell([
      ...started(2),
      [1000, 'silent 1', ''],
      [29_100, '', ''],
      [31_100, 'frozen', 'kill 1, spawn 3@0, cover 0 by 2'],
    ]);
  });
});
