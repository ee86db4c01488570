import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Row, SETTINGS, Story, started, tell } from './pool-story.ts';

const MIB = 2 ** 20;

describe('after the maximum of requests', () => {
  it('a worker serves on until its replacement is ready', () => {
    tell(
      [
        ...started(2),
        [1000, 'served 1 99, served 2 10', ''],
        [2000, 'served 1 100, ?', 'ready: 2 of 2 workers are ready, recycle 1, spawn 3@0'],
        [2100, 'served 1 250', ''],
        [2300, 'ready 3, ?', 'ready: 3 of 2 workers are ready, drain 1'],
        [2400, 'exit 1', 'ended max_requests'],
        [600_000, '?', 'ready: 2 of 2 workers are ready'],
      ],
      { maxRequests: 100 },
    );
  });

  it('of all workers at once, they are replaced one after another', () => {
    tell(
      [
        ...started(3),
        [1000, 'served 1 100, served 2 100, served 3 100', 'recycle 1, recycle 2, recycle 3, spawn 4@0'],
        [1300, 'ready 4', 'drain 1'],
        [2300, 'exit 1', 'ended max_requests, spawn 5@1'],
        [2600, 'ready 5', 'drain 2'],
        [3600, 'exit 2', 'ended max_requests, spawn 6@2'],
        [3900, 'ready 6', 'drain 3'],
        [4900, 'exit 3', 'ended max_requests'],
      ],
      { workers: 3, maxRequests: 100 },
    );
  });

  it('each draws its own number from the jitter, the last one included', () => {
    const draws = [0, 0.5, 0.999];
    const counts = draws.map((drawn) => {
      const story = new Story({ ...SETTINGS, workers: 1, maxRequests: 100, maxRequestsJitter: 10 }, () => drawn);
      story.at(0, '');
      story.at(0, 'ready 1');
      for (let served = 90; ; served++) if (story.at(1000 + served, `served 1 ${served}`).length > 0) return served;
    });
    assert.deepEqual(counts, [100, 105, 110]);
  });

  it('is off with 0', () => {
    tell([...started(1), [1000, 'served 1 1000000', '']], { workers: 1, maxRequestsJitter: 5 });
  });

  it('stays where its replacement does not boot, and serves', () => {
    tell(
      [
        ...started(1),
        [1000, 'served 1 100', 'recycle 1, spawn 2@0'],
        [1100, 'exit 2', 'ended boot'],
        [1300, 'exit 3, ?', '+1200 spawn 3@0, ended boot, ready: 1 of 1 workers are ready'],
        [1600, 'ready 4', '+1500 spawn 4@0, drain 1'],
      ],
      { workers: 1, crashLimit: 1, maxRequests: 100 },
    );
  });

  it('and HUP at the same time is one replacement', () => {
    tell(
      [
        ...started(2),
        [1000, 'served 1 100, HUP', 'recycle 1, spawn 3@0'],
        [1300, 'ready 3, served 3 100', 'recycle 3, drain 1'],
        [1400, 'exit 1', 'ended max_requests, spawn 4@1'],
        [1700, 'ready 4', 'drain 2'],
        [1800, 'exit 2', 'ended reload, spawn 5@0'],
        [2100, 'ready 5', 'drain 3'],
        [2200, 'exit 3', 'ended max_requests'],
        [600_000, '?', 'ready: 2 of 2 workers are ready'],
      ],
      { maxRequests: 100 },
    );
  });

  it('no worker is recycled while the server stops or is parked', () => {
    for (const event of ['TERM', 'WINCH']) {
      const story = new Story({ ...SETTINGS, workers: 1, maxRequests: 100, drainDelay: 5 });
      for (const events of ['', 'ready 1', event]) story.at(0, events);
      assert.deepEqual(
        story.decisions(1000, 'served 1 100').filter((d) => d.do === 'recycle' || d.do === 'spawn'),
        [],
      );
    }
  });
});

describe('at its lifetime', () => {
  it('a worker is replaced, without a report', () => {
    tell(
      [
        ...started(1),
        [60_300, 'ready 2', '+60000 recycle 1, +60000 spawn 2@0, drain 1'],
        [60_400, 'exit 1', 'ended lifetime'],
        [120_100, '', '+120000 recycle 2, +120000 spawn 3@0'],
      ],
      { workers: 1, maxWorkerLifetime: 60 },
    );
  });

  it('workers of one age are due at different times, none later than the lifetime', () => {
    let drawn = 0.75;
    const random = () => {
      drawn = 1 - drawn; // 0.25 and 0.75 in turn; two draws a worker, the second for the lifetime
      return drawn;
    };
    const rows: Row[] = [...started(1), [60_000, '', '+55500 recycle 1, +55500 spawn 2@0']];
    tell(rows, { workers: 1, maxWorkerLifetime: 60 }, random);
  });
});

describe('a worker that has grown too large', () => {
  const settings = { workers: 1, maxRss: 100 * MIB };

  /** What is decided after each report of these sizes, one a second. */
  const reported = (story: Story, from: number, ...sizes: number[]): string[] =>
    sizes.map((size, i) => {
      story.pool.report(1, { served: 0, rssBytes: size * MIB });
      return story.at(from + i * 1000, '').join(', ');
    });
  const grown = (): Story => {
    const story = new Story({ ...SETTINGS, ...settings });
    for (const events of ['', 'ready 1']) story.at(0, events);
    story.pool.report(1, { served: 0, rssBytes: 50 * MIB });
    return story;
  };

  it('collects garbage after three reports in a row, and is replaced after three more if that did not help', () => {
    const story = grown();
    assert.deepEqual(reported(story, 100_000, 101, 101, 100, 101, 101, 101), ['', '', '', '', '', 'collect-garbage 1']);
    assert.deepEqual(reported(story, 106_000, 105, 95, 91), ['', '', 'recycle 1, spawn 2@0']);
    assert.deepEqual(story.at(109_000, 'ready 2'), ['drain 1']);
    assert.deepEqual(story.at(109_100, 'exit 1'), ['ended rss']);
  });

  it('is not replaced while collecting garbage helps, however often', () => {
    const story = grown();
    for (const from of [100_000, 200_000]) {
      assert.deepEqual(reported(story, from, 120, 120, 120, 120, 80), ['', '', 'collect-garbage 1', '', '']);
      assert.deepEqual(reported(story, from + 5000, 95, 95, 95), ['', '', '']);
    }
  });

  it('collects garbage alone, as it does not answer meanwhile', () => {
    tell(
      [
        ...started(2),
        [1000, 'holds 1 50, holds 2 50', ''],
        [70_000, 'holds 1 120, holds 2 120', 'collect-garbage 1'],
        [71_500, 'holds 1 80', '+71000 collect-garbage 2'],
        [72_000, 'holds 2 80', ''],
      ],
      { ...settings, workers: 2 },
    );
  });

  it('is not replaced before it is 10 s old; before a minute the limit may be too low', () => {
    tell(
      [
        ...started(1),
        [500, 'holds 1 50', ''],
        [1000, 'holds 1 101', ''],
        [9000, 'holds 1 300', ''],
        [10_100, '', '+10000 collect-garbage 1'],
        [11_000, 'holds 1 300', 'recycle 1 soon, spawn 2@0'],
      ],
      settings,
    );
  });

  it('right after its start is not recycled at all; a warning says so once for each release and limit', () => {
    tell(
      [
        ...started(1),
        [1000, 'holds 1 101', 'warn'],
        [100_000, 'holds 1 300', ''],
        [100_100, 'exit 1', 'ended crash, spawn 2@0'],
        [100_400, 'ready 2, holds 2 300', ''],
        [200_000, 'holds 2 400', ''],
        [200_010, 'limit 90, holds 2 400', 'warn'],
        [200_020, 'HUP', 'spawn 3@0'],
        [200_100, 'ready 3', 'drain 2'],
        [200_200, 'exit 2', 'ended reload'],
        [200_300, 'holds 3 101', 'warn'],
      ],
      settings,
    );
  });

  it('does not keep others from being recycled', () => {
    tell(
      [
        ...started(2),
        [1000, 'holds 1 150, holds 2 50', 'warn'],
        [70_000, 'holds 2 150', 'collect-garbage 2'],
        [71_500, 'holds 2 150', 'recycle 2, spawn 3@1'],
      ],
      { ...settings, workers: 2 },
    );
  });

  it('goes by the limit of the moment', () => {
    tell(
      [
        ...started(1),
        [1000, 'holds 1 80', ''],
        [70_000, 'holds 1 90', ''],
        [70_010, 'limit 85, holds 1 90', 'collect-garbage 1'],
        [70_020, 'holds 1 90', 'recycle 1, spawn 2@0'],
      ],
      settings,
    );
  });

  it('is one of several: never two at once', () => {
    tell(
      [
        ...started(2),
        [1000, 'holds 1 50, holds 2 50', ''],
        [70_000, 'holds 1 101, holds 2 101', 'collect-garbage 1'],
        [71_100, 'holds 1 101, holds 2 101', '+71000 collect-garbage 2, recycle 1, recycle 2, spawn 3@0'],
        [71_300, 'ready 3', 'drain 1'],
        [72_300, 'exit 1', 'ended rss, spawn 4@1'],
      ],
      { ...settings, workers: 2 },
    );
  });
});

describe('where no memory is left for new requests', () => {
  const firstReports: Row = [100, 'holds 1 70, holds 2 70', ''];

  it('the largest is replaced at once, whichever worker reports it, whatever its age', () => {
    tell([
      ...started(2),
      firstReports,
      [500, 'holds 2 240', ''],
      [600, 'full 1 200', 'recycle 2 soon, spawn 3@1'],
      [900, 'ready 3', 'drain 2'],
      [950, 'exit 2', 'ended rss'],
    ]);
  });

  it('one at a time: a report counts when no worker is being replaced', () => {
    tell([
      ...started(2),
      firstReports,
      [600, 'full 1 240, full 2 230', 'recycle 1 soon, spawn 3@0'],
      [700, 'full 2 230', ''],
      [900, 'ready 3, full 2 230', 'drain 1'],
      [950, 'full 2 230', ''],
      [960, 'exit 1', 'ended rss'],
      [970, 'full 2 230', 'recycle 2, spawn 4@1'],
    ]);
  });

  it('a full heap replaces that worker, even if another is larger', () => {
    tell([...started(2), firstReports, [500, 'holds 2 300', ''], [600, 'heap 1 200', 'recycle 1 soon, spawn 3@0']]);
  });

  it('if no worker has grown, none is replaced and held requests are served; a warning says so once a minute', () => {
    tell([
      ...started(2),
      firstReports,
      [600, 'full 1 85', 'release-holds, warn'],
      [700, 'full 1 85', 'release-holds'],
      [800, 'full 1 300', 'recycle 1, spawn 3@0'],
    ]);
  });

  it('is a warning once a minute', () => {
    tell(
      [
        ...started(1),
        [100, 'holds 1 70', ''],
        [600, 'full 1 240', 'recycle 1 soon, spawn 2@0'],
        [900, 'ready 2', 'drain 1'],
        [950, 'exit 1, holds 2 70', 'ended rss'],
        [60_000, 'full 2 240', 'recycle 2, spawn 3@0'],
        [60_300, 'ready 3', 'drain 2'],
        [60_400, 'exit 2, holds 3 70', 'ended rss'],
        [60_700, 'full 3 240', 'recycle 3 soon, spawn 4@0'],
      ],
      { workers: 1 },
    );
  });
});
