import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Row, SETTINGS, Story, started, tell } from './pool-story.ts';

describe('SIGTERM', () => {
  it('drains and ends with 0', () => {
    tell([
      ...started(2),
      [1000, 'TERM, ?', 'not ready: draining, closing 1, closing 2, release, drain 1, drain 2'],
      [1500, 'exit 2', 'ended as wanted'],
      [2000, 'exit 1', 'ended as wanted, halt ok'],
    ]);
  });

  it('says why it ended', () => {
    const halt = new Story(SETTINGS).decisions(0, 'TERM').at(-1);
    assert.deepEqual(halt, { do: 'halt', exit: 'ok', why: 'stopped as asked' });
  });

  const delayed: Row[] = [
    ...started(2),
    [1000, 'TERM, ?', 'not ready: draining, closing 1, closing 2'],
    [5999, '', ''],
    [6000, '', 'release, drain 1, drain 2'],
  ];

  it('goes on accepting for the drain delay, which counts within the graceful timeout', () => {
    tell(
      [
        ...delayed,
        [7000, 'exit 1', 'ended as wanted'],
        [25_999, '', ''],
        [26_000, '', 'kill 2'],
        [26_010, 'exit 2', 'ended as wanted, halt ok'],
      ],
      { drainDelay: 5 },
    );
  });

  it('wakes up for the end of the delay and the last deadline by itself', () => {
    const [a, b, c] = delayed as [Row, Row, Row];
    // SIGKILL ends neither: the stop ends without them.
    const last = '+6000 release, +6000 drain 1, +6000 drain 2, +26000 kill 1, +26000 kill 2, halt failure';
    tell([a, b, c, [28_000, '', last]], {
      drainDelay: 5,
    });
  });

  it('wakes up for that also between two ticks', () => {
    tell([...started(1), [1000, 'TERM', 'closing 1'], [9000, '', '+3250 release, +3250 drain 1, +8500 kill 1']], {
      workers: 1,
      drainDelay: 2.25,
      gracefulTimeout: 7.5,
    });
  });

  it('a second one changes nothing', () => {
    const again: Row[] = [
      [10_000, 'TERM', ''],
      [26_000, 'TERM', 'kill 1, kill 2'],
      [26_010, 'exit 1, TERM', 'ended as wanted'],
    ];
    tell([...delayed, ...again], { drainDelay: 5 });
    tell([...started(1), [0, 'TERM', 'closing 1'], [1000, 'TERM', ''], [5000, '', 'release, drain 1']], {
      workers: 1,
      drainDelay: 5,
    });
  });

  it('nor do HUP, WINCH, TTIN and TTOU after it', () => {
    tell(
      [
        ...delayed,
        [7000, 'HUP, WINCH, size 5', ''],
        [8000, 'size 1', ''],
        [9000, 'exit 1, exit 2', 'ended as wanted, ended as wanted, halt ok'],
      ],
      {
        drainDelay: 5,
      },
    );
  });

  it('a worker that ends during the delay has a neighbour take over and is not replaced; when all have ended it is over', () => {
    tell(
      [
        ...started(2),
        [1000, 'TERM', 'closing 1, closing 2'],
        [2000, 'exit 1', 'ended as wanted, take-over 0 by 2'],
        [3000, 'exit 2', 'ended as wanted, release, halt ok'],
      ],
      { drainDelay: 5 },
    );
  });

  it('a worker that stalls during the delay is still killed', () => {
    tell(
      [
        ...started(2),
        [1000, 'TERM, silent 1', 'closing 1, closing 2'],
        [5000, '', '+4000 kill 1, +4000 take-over 0 by 2'],
      ],
      { drainDelay: 10, timeout: 3, crashLimit: 1 },
    );
  });

  it('a worker that becomes ready in the same moment ends its connections too, or is killed', () => {
    const story = new Story({ ...SETTINGS, drainDelay: 5 });
    story.at(0, '');
    const out = story.at(100, 'ready 1, TERM, ready 2');
    assert.ok(out.includes('closing 1'));
    assert.ok(out.includes('closing 2') || out.includes('kill 2'), out.join(', '));
  });

  it('kills what still boots', () => {
    tell(
      [
        ...started(1),
        [1000, 'size 2', 'spawn 2@1'],
        [1100, 'TERM', 'closing 1, kill 2'],
        [1200, 'exit 2', 'ended as wanted'],
        [6100, '', 'release, drain 1'],
      ],
      { workers: 1, drainDelay: 5 },
    );
    tell([
      [0, '', 'spawn 1@0, spawn 2@1'],
      [100, 'TERM', 'kill 1, kill 2, release'],
      [200, 'exit 1, fatal 2', 'ended as wanted, ended as wanted, halt ok'],
    ]);
  });

  it('ends at once with a server that waits for its next try to boot', () => {
    tell(
      [
        [0, '', 'spawn 1@0'],
        [0, 'exit 1', 'ended boot'],
        [50, 'TERM', 'release, halt ok'],
      ],
      { workers: 1, drainDelay: 5 },
    );
  });

  it('in the middle of a reload ends old and new', () => {
    tell([
      ...started(2),
      [1000, 'HUP', 'spawn 3@0'],
      [1300, 'ready 3', 'drain 1'],
      [20_000, 'TERM', 'closing 2, closing 3, release, drain 2, drain 3'],
      [26_300, '', 'kill 1'],
      [45_000, '', 'kill 2, kill 3'],
    ]);
  });
});

describe('SIGINT and SIGQUIT', () => {
  it('leave requests one second', () => {
    tell(
      [
        ...started(2),
        [1000, 'INT, ?', 'not ready: draining, release, drain 1 quick, drain 2 quick'],
        [1100, 'exit 1', 'ended as wanted'],
        [2010, 'exit 2', '+2000 kill 2, ended as wanted, halt ok'],
      ],
      { drainDelay: 5 },
    );
  });

  it('stop at once the second time', () => {
    tell([
      ...started(2),
      [1000, 'INT', 'release, drain 1 quick, drain 2 quick'],
      [1200, 'INT', 'kill 1, kill 2'],
      [1210, 'exit 1, exit 2', 'ended as wanted, ended as wanted, halt ok'],
    ]);
  });

  it('twice in the same moment stop at once', () => {
    tell([...started(2), [1000, 'INT, INT', 'release, drain 1 quick, drain 2 quick, kill 1, kill 2']]);
  });

  it('shorten a drain', () => {
    tell([
      ...started(2),
      [1000, 'TERM', 'closing 1, closing 2, release, drain 1, drain 2'],
      [3000, 'INT', 'drain 1 quick, drain 2 quick'],
      [4000, '', 'kill 1, kill 2'],
    ]);
  });

  it('end the drain delay', () => {
    tell(
      [
        ...started(2),
        [1000, 'TERM', 'closing 1, closing 2'],
        [3000, 'INT', 'release, drain 1 quick, drain 2 quick'],
        [4000, '', 'kill 1, kill 2'],
      ],
      { drainDelay: 10 },
    );
  });

  it('never prolong a drain', () => {
    tell([...started(1), [1000, 'TERM', 'closing 1, release, drain 1'], [25_900, 'INT', ''], [26_000, '', 'kill 1']], {
      workers: 1,
    });
  });

  it('never prolong a drain delay', () => {
    tell([...started(1), [1000, 'TERM', 'closing 1'], [3400, 'INT', 'release, drain 1 quick'], [4000, '', 'kill 1']], {
      workers: 1,
      drainDelay: 2.5,
      gracefulTimeout: 3,
    });
  });

  it('kill what boots', () => {
    tell([
      [0, '', 'spawn 1@0, spawn 2@1'],
      [100, 'INT', 'kill 1, kill 2, release'],
      [110, 'exit 1, exit 2', 'ended as wanted, ended as wanted, halt ok'],
    ]);
  });
});
