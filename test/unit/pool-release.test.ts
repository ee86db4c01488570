import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Row, SETTINGS, Story, started, tell } from './pool-story.ts';

/** Four workers, a HUP, and the first new one dies 200 ms after it was ready, when the second boots already. */
const bad: Row[] = [
  ...started(4),
  [10_000, 'HUP', 'spawn 5@0'],
  [10_300, 'ready 5', 'drain 1'],
  [10_310, 'exit 1', 'ended reload, spawn 6@1'],
  [10_500, 'exit 5', 'ended crash, warn, spawn 7@0, take-over 0 by 2'],
];

describe('a release that dies within five seconds of being ready', () => {
  it('does not take the old workers with it: they serve until the ones in their place have lived that long', () => {
    tell(
      [
        ...bad,
        [10_610, 'ready 6', ''],
        [10_800, 'ready 7, ?', 'ready: 5 of 4 workers are ready, hand-back 0 by 2'],
        // All have lived, and the reload goes on at once again.
        [15_800, '', '+15610 drain 2'],
        [15_810, 'exit 2', 'ended reload, spawn 8@2'],
        [16_100, 'ready 8', 'drain 3'],
        [16_110, 'exit 3', 'ended reload, spawn 9@3'],
        [16_400, 'ready 9', 'drain 4'],
        [16_410, 'exit 4, ?', 'ended reload, ready: 4 of 4 workers are ready'],
      ],
      { workers: 4 },
    );
  });

  it('is given up after as many in a row as the crash limit; the old ones go on, and what is missing is tried still', () => {
    tell(
      [
        ...bad,
        [10_610, 'ready 6', ''],
        [10_800, 'ready 7', 'hand-back 0 by 2'],
        [10_810, 'exit 6', 'ended crash'],
        [11_000, 'exit 7', '+10910 spawn 8@1, ended crash, take-over 0 by 2'],
        [11_210, 'ready 8', '+11200 spawn 9@0'],
        [11_410, 'exit 8, ?', 'ended crash, ready: 3 of 4 workers are ready'],
        [11_500, 'ready 9', 'hand-back 0 by 2'],
        [11_700, 'exit 9, ?', 'ended crash, ready: 3 of 4 workers are ready, give up, take-over 0 by 2'],
        [12_800, 'ready 10', '+12500 spawn 10@0, hand-back 0 by 2'],
        [13_000, 'exit 10', 'ended crash, take-over 0 by 2'],
        [14_900, 'ready 11', '+14600 spawn 11@0, hand-back 0 by 2'],
        [20_000, 'leave 3, ?', 'ready: 4 of 4 workers are ready, spawn 12@2'],
        [20_300, 'ready 12', 'drain 3'],
      ],
      { workers: 4, crashLimit: 5 },
    );
  });

  it('tells why it is given up, and that it goes on slowly before', () => {
    const story = new Story({ ...SETTINGS, workers: 2, crashLimit: 2 });
    const said: string[] = [];
    for (const [at, events] of [
      ...started(2),
      [10_000, 'HUP'],
      [10_300, 'ready 3'],
      [10_310, 'exit 1'],
      [10_500, 'broke 3'],
      [10_510, 'ready 4, ready 5'],
      [10_600, 'exit 4'],
    ] as const) {
      for (const d of story.decisions(at, events)) if (d.do === 'warn' || d.do === 'give-up-reload') said.push(d.why);
    }
    assert.deepEqual(said, [
      'a new worker died within 5 s of readiness (thrown on purpose): each old worker now serves until its replacement has lived for 5 s',
      '2 new workers in a row died within 5 s of readiness, the last: exit code 1',
    ]);
    assert.equal(story.pool.serviceState, 'ready');
  });

  it('has its failures to boot counted too: where the old one is gone they end the reload as well', () => {
    tell(
      [
        ...started(2),
        [10_000, 'HUP', 'spawn 3@0'],
        [10_300, 'ready 3', 'drain 1'],
        [10_310, 'exit 3', 'ended crash, warn, spawn 4@0, take-over 0 by 2'],
        [10_320, 'exit 4', 'ended boot'],
        [10_430, 'exit 5', '+10420 spawn 5@0, ended boot, give up'],
        [10_700, 'exit 1, ?', '+10630 spawn 6@0, ended reload, ready: 1 of 2 workers are ready'],
      ],
      { crashLimit: 2 },
    );
  });

  it('is judged by its own deaths, not by those of what it replaces', () => {
    tell(
      [
        ...started(2),
        [1000, 'exit 1', 'ended crash, warn, spawn 3@0, take-over 0 by 2'],
        [1300, 'ready 3, exit 3', 'ended crash'],
        // A person has mended it.
        [1310, 'HUP', 'spawn 4@0'],
        [1400, 'exit 2', 'ended crash, spawn 5@1'],
        [1700, 'ready 4', 'take-over 1 by 4'],
        [1710, 'exit 4', 'ended crash, warn, spawn 6@0'],
      ],
      { crashLimit: 1 },
    );
  });

  it('is tried anew by the next reload, at once and at full speed', () => {
    tell(
      [
        ...bad,
        [10_610, 'ready 6, HUP', 'drain 2, take-over 0 by 3'],
        [10_700, 'exit 2', 'ended reload'],
        [10_800, 'ready 7', 'spawn 8@2, hand-back 0 by 3'],
      ],
      { workers: 4 },
    );
  });

  it('does not slow down a reload whose workers live', () => {
    const story = new Story({ ...SETTINGS, workers: 8 });
    for (const [at, events] of started(8)) story.at(at, events);
    let out = story.at(10_000, 'HUP');
    let now = 10_000;
    for (let slot = 0; slot < 8; slot++) {
      assert.ok(out.includes(`spawn ${9 + slot}@${slot}`), `slot ${slot}: ${out}`);
      now += 300;
      story.at(now, `ready ${9 + slot}`);
      now += 10;
      out = story.at(now, `exit ${1 + slot}`);
    }
    assert.equal(now, 12_480);
    assert.equal(story.pool.serviceState, 'ready');
  });
});

describe('a worker that leaves where workers die early', () => {
  const young: Row[] = [
    ...started(2),
    [1000, 'exit 2', 'ended crash, spawn 3@1, take-over 1 by 1'],
    [1100, 'ready 3', 'hand-back 1 by 1'],
  ];

  it('serves until the one in its place has lived for five seconds', () => {
    tell([
      ...young,
      [1200, 'leave 1', 'spawn 4@0'],
      [1500, 'ready 4', ''],
      [1600, 'exit 4, ?', 'ended crash, ready: 2 of 2 workers are ready'],
      [2000, 'ready 5', '+1700 spawn 5@0'],
      [7100, 'exit 1', '+7000 drain 1, ended reload'],
    ]);
  });

  it('because of its size goes as soon as another is ready: it fills the memory', () => {
    tell([...young, [1200, 'holds 1 70, full 1 240', 'recycle 1 soon, spawn 4@0'], [1500, 'ready 4', 'drain 1']]);
  });
});
