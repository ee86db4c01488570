import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Row, SETTINGS, Story, started, tell } from './pool-story.ts';

describe('a crash', () => {
  it('has a neighbour take over, is replaced at once, and the slot is handed back when the next is ready', () => {
    tell(
      [
        ...started(3),
        [1000, 'exit 2, ?', 'ended crash, ready: 2 of 3 workers are ready, spawn 4@1, take-over 1 by 1'],
        [1300, 'ready 4, ?', 'ready: 3 of 3 workers are ready, hand-back 1 by 1'],
      ],
      { workers: 3 },
    );
  });

  it('for want of memory has a reason of its own, also of a worker that boots or drains', () => {
    tell([
      ...started(2),
      [1000, 'oom 1', 'ended oom, spawn 3@0, take-over 0 by 2'],
      [1100, 'oom 3', 'ended oom'],
      [1200, '', 'spawn 4@0'],
      [1300, 'ready 4, HUP', 'spawn 5@1, hand-back 0 by 2'],
      [1400, 'ready 5', 'drain 2'],
      [1500, 'oom 2', 'ended oom, spawn 6@0'],
    ]);
  });

  it('of the worker that took over makes another take over', () => {
    tell(
      [
        ...started(3),
        [6000, 'exit 2', 'ended crash, spawn 4@1, take-over 1 by 1'],
        [6100, 'exit 1', 'ended crash, spawn 5@0, take-over 0 by 3, take-over 1 by 3'],
        [6200, 'ready 5', 'hand-back 0 by 3'],
        [6300, 'ready 4', 'hand-back 1 by 3'],
      ],
      { workers: 3 },
    );
  });

  it('makes another take over if a neighbour does not confirm', () => {
    tell(
      [
        ...started(3),
        [1000, 'deaf 1, exit 2', 'ended crash, spawn 4@1, take-over 1 by 1'],
        [2000, '', 'hand-back 1 by 1, take-over 1 by 3'],
        [9000, 'ready 4', 'hand-back 1 by 3'],
      ],
      { workers: 3 },
    );
  });

  it('tells the only neighbour again if it does not confirm', () => {
    tell([
      ...started(2),
      [1000, 'deaf 1, exit 2', 'ended crash, spawn 3@1, take-over 1 by 1'],
      [3500, '', '+2000 take-over 1 by 1, +3000 take-over 1 by 1'],
      [3600, 'ready 3', 'hand-back 1 by 1'],
      [9000, '', ''],
    ]);
  });

  it('of the others, while the only neighbour is stuck and has not confirmed, leaves nothing to take over', () => {
    tell(
      [
        ...started(2),
        [6000, 'deaf 1, silent 1, exit 2', 'ended crash, spawn 3@1, take-over 1 by 1'],
        [10_000, '', '+7000 take-over 1 by 1, +8000 kill 1, +8000 spawn 4@0'],
        [10_100, 'ready 4', 'take-over 1 by 4'],
      ],
      { timeout: 2 },
    );
  });

  it('of the worker that took over, while the slot gets its own again, leaves nothing to hand back', () => {
    tell([
      ...started(2),
      [6000, 'exit 1', 'ended crash, spawn 3@0, take-over 0 by 2'],
      [6300, 'ready 3, exit 2', 'ended crash, spawn 4@1, take-over 1 by 3'],
    ]);
  });

  it('of all leaves none to take over; the first that is ready takes over for the others', () => {
    tell([
      ...started(2),
      [6000, 'exit 1, exit 2, ?', 'ended crash, ended crash, not ready: no worker is ready, spawn 3@0, spawn 4@1'],
      [6300, 'ready 4, ?', 'ready: 1 of 2 workers are ready, take-over 0 by 4'],
      [6400, 'ready 3', 'hand-back 0 by 4'],
    ]);
  });

  it('while it serves, failures to boot are tried again for ever, also where the app is gone', () => {
    tell(
      [
        ...started(2),
        [1000, 'exit 2', 'ended crash, spawn 3@1, take-over 1 by 1'],
        [1010, 'fatal 3', 'ended boot'],
        [2000, 'exit 4', '+1110 spawn 4@1, ended boot'],
        [3000, 'exit 5', '+2200 spawn 5@1, ended boot'],
        [4000, 'exit 6', '+3400 spawn 6@1, ended boot'],
        [4800, 'ready 7, ?', 'ready: 1 of 2 workers are ready, spawn 7@1'],
        [4900, 'ready 7, ?', 'ready: 2 of 2 workers are ready, hand-back 1 by 1'],
      ],
      { crashLimit: 2 },
    );
  });

  it('ends the server when no worker serves and none can boot', () => {
    tell(
      [
        ...started(1),
        [1000, 'exit 1', 'ended crash, spawn 2@0'],
        [1010, 'exit 2', 'ended boot'],
        [1110, '', 'spawn 3@0'],
        [1120, 'fatal 3', 'ended boot, release, halt boot'],
      ],
      { workers: 1, crashLimit: 2 },
    );
  });

  /** One worker that dies over and over, `interval` ms after it was ready, `count` times. */
  function deaths(count: number, interval: number): Row[] {
    const rows = started(1);
    for (let i = 1; i <= count; i++) {
      rows.push([i * interval, `exit ${i}`, `ended crash, spawn ${i + 1}@0`]);
      rows.push([i * interval, `ready ${i + 1}`, '']);
    }
    return rows;
  }

  it('comes five times the crash limit within a minute: 3', () => {
    tell([...deaths(9, 6000), [59_000, 'exit 10', 'ended crash, release, halt boot']], { workers: 1, crashLimit: 2 });
  });

  it('counts together with stalls, uncaught exceptions and out-of-memory kills, each once', () => {
    tell(
      [
        ...started(2),
        [6000, 'broke 1', 'spawn 3@0, take-over 0 by 2'],
        [6010, 'ready 3, exit 1', 'ended crash, hand-back 0 by 2'],
        [12_000, 'silent 3', ''],
        [42_010, 'exit 3', '+15000 take-over 0 by 2, +42000 kill 3, +42000 spawn 4@0, ended stall'],
        [42_020, 'ready 4', 'hand-back 0 by 2'],
        [50_000, 'oom 4', 'ended oom, spawn 5@0, take-over 0 by 2'],
        [50_010, 'ready 5', 'hand-back 0 by 2'],
        [58_000, 'exit 5', 'ended crash, spawn 6@0, take-over 0 by 2'],
        [58_010, 'ready 6', 'hand-back 0 by 2'],
        [65_900, 'exit 6', 'ended crash, release, drain 2 quick'],
        [65_910, 'exit 2', 'ended as wanted, halt boot'],
      ],
      { crashLimit: 1 },
    );
  });

  it('is named as the last death when the server gives up, whatever it was', () => {
    const last = (event: string): unknown => {
      const story = new Story({ ...SETTINGS, workers: 1, crashLimit: 1, timeout: 7 });
      for (const [at, events] of deaths(4, 6000)) story.at(at, events);
      return [...story.decisions(30_000, event), ...story.decisions(50_000, 'exit 5')].find((d) => d.do === 'halt');
    };
    const halt = (why: string) => ({
      do: 'halt',
      exit: 'boot',
      why: `5 workers died within a minute, the last: ${why}`,
    });
    assert.deepEqual(last('exit 5'), halt('exit code 1'));
    assert.deepEqual(last('broke 5'), halt('thrown on purpose'));
    assert.deepEqual(last('silent 5'), halt('silent for 7 s (TSUNICORN_TIMEOUT)'));
  });

  it('is not counted when a worker ends after a planned replacement, however often that is', () => {
    const rows = started(1);
    for (let workerId = 1; workerId < 20; workerId++) {
      rows.push([workerId * 100, `leave ${workerId}`, `spawn ${workerId + 1}@0`]);
      rows.push([workerId * 100 + 10, `ready ${workerId + 1}`, `drain ${workerId}`]);
      rows.push([workerId * 100 + 20, `exit ${workerId}`, 'ended reload']);
    }
    tell(rows, { workers: 1, crashLimit: 1 });
  });

  it('may come any number of times when spread out', () => {
    tell(deaths(50, 6700), { workers: 1, crashLimit: 2 });
  });
});

describe('a worker with an uncaught exception', () => {
  it('is replaced at once, and killed at the graceful timeout', () => {
    tell([
      ...started(2),
      [1000, 'broke 1, ?', 'ready: 1 of 2 workers are ready, spawn 3@0, take-over 0 by 2'],
      [1300, 'ready 3', 'hand-back 0 by 2'],
      [26_010, 'exit 1', '+26000 kill 1, ended crash'],
      [600_000, '', ''],
    ]);
  });

  it('is not drained twice', () => {
    tell([
      ...started(2),
      [1000, 'TERM', 'closing 1, closing 2, release, drain 1, drain 2'],
      [1100, 'broke 1', ''],
      [26_000, '', 'kill 1, kill 2'],
    ]);
  });
});

describe('a silent worker', () => {
  it('is killed after the timeout and replaced at once, before it is gone', () => {
    tell([
      ...started(2),
      [1000, 'silent 1', ''],
      [31_010, 'exit 1', '+4000 take-over 0 by 2, +31000 kill 1, +31000 spawn 3@0, ended stall'],
      [31_020, 'ready 3', 'hand-back 0 by 2'],
    ]);
  });

  it('is killed with a reason', () => {
    const kills = [
      {
        rows: [
          [0, ''],
          [30_000, ''],
        ],
        settings: { bootTimeout: 30 },
      },
      {
        rows: [
          [0, ''],
          [0, 'ready 1, silent 1'],
          [2500, ''],
        ],
        settings: { timeout: 2.5 },
      },
      {
        rows: [
          [0, ''],
          [0, 'ready 1'],
          [0, 'TERM'],
          [25_000, ''],
        ],
        settings: {},
      },
    ] as const;
    const reasons = kills.map(({ rows, settings }) => {
      const story = new Story({ ...SETTINGS, workers: 1, ...settings });
      const due = rows.flatMap(([at, events]) => story.decisions(at, events));
      return due.flatMap((d) => (d.do === 'kill' ? [d.why] : []));
    });
    assert.deepEqual(reasons, [
      ['not ready within 30 s (TSUNICORN_BOOT_TIMEOUT)'],
      ['silent for 2.5 s (TSUNICORN_TIMEOUT)'],
      ['still draining at its deadline'],
    ]);
  });

  it('lives on with timeout 0', () => {
    tell([...started(2), [1000, 'silent 1, silent 2', ''], [4_000_000, '?', 'ready: 2 of 2 workers are ready']], {
      timeout: 0,
    });
  });

  it('is killed also while it drains', () => {
    tell(
      [
        ...started(2),
        [1000, 'TERM, silent 2', 'closing 1, closing 2, release, drain 1, drain 2'],
        [9000, '', '+4000 kill 2'],
      ],
      { timeout: 3 },
    );
  });
});
