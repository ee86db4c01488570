import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Decision } from '../../src/arbiter/pool/decisions.ts';
import { type Row, SETTINGS, Story, started, tell } from './pool-story.ts';

describe('a worker that dies within five seconds of being ready', () => {
  /** When each of `count` workers of a slot is tried that all die `life` ms after they were ready, at once. */
  function tries(count: number, life: number): number[] {
    const story = new Story({ ...SETTINGS, workers: 1 });
    const times: number[] = [];
    let now = 0;
    let out = story.at(now, '');
    for (let workerId = 1; workerId <= count; workerId++) {
      while (now < 100_000 && !out.some((said) => said.endsWith(`spawn ${workerId}@0`))) {
        now += 100;
        out = story.at(now, '');
      }
      times.push(now);
      story.at(now, `ready ${workerId}`);
      now += life;
      out = story.at(now, `exit ${workerId}`);
    }
    return times;
  }

  it('is replaced at once the first time, then after 100 ms, and twice as long each time, up to 10 s', () => {
    const [first = 0, ...times] = tries(12, 0);
    assert.equal(first, 0);
    const waits = times.map((at, i) => at - (times[i - 1] ?? 0));
    assert.deepEqual(waits, [0, 100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000]);
  });

  it('is replaced at once each time when it lives that long', () => {
    assert.deepEqual(tries(5, 5000), [0, 5000, 10_000, 15_000, 20_000]);
    assert.deepEqual(tries(5, 4900), [0, 4900, 9900, 15_000, 20_300]);
  });

  it('wakes the server for its next try, and does not put off the try in place of one that had lived', () => {
    tell([
      ...started(2),
      [6000, 'exit 1', 'ended crash, spawn 3@0, take-over 0 by 2'],
      [6010, 'ready 3, exit 3', 'ended crash, spawn 4@0'],
      [6020, 'ready 4, exit 4', 'ended crash'],
      [6130, 'ready 5, exit 5', '+6120 spawn 5@0, ended crash'],
      [6140, 'exit 2', 'ended crash, spawn 6@1'],
      [6150, 'ready 6', 'take-over 0 by 6'],
      [6400, '', '+6330 spawn 7@0'],
    ]);
  });

  it('counts with those of other slots', () => {
    tell(
      [
        ...started(3),
        [1000, 'exit 1, exit 2, exit 3', 'ended crash, ended crash, ended crash, spawn 4@0'],
        [2000, '', '+1100 spawn 5@1, +1200 spawn 6@2'],
      ],
      { workers: 3 },
    );
  });

  it('is forgotten when one of its slot has lived that long, and not when others have', () => {
    const rows = (wait: number): Row[] => [
      ...started(2),
      [3000, 'exit 1', 'ended crash, spawn 3@0, take-over 0 by 2'],
      [3100, 'ready 3', 'hand-back 0 by 2'],
      [3100 + wait, '', ''],
    ];
    tell([...rows(4999), [8099, 'exit 3', 'ended crash, take-over 0 by 2'], [9000, '', '+8199 spawn 4@0']]);
    tell([
      ...rows(5000),
      [8200, 'exit 3', 'ended crash, spawn 4@0, take-over 0 by 2'],
      [8300, 'ready 4, exit 4', 'ended crash, spawn 5@0'],
    ]);
  });

  it('is not forgotten by the time in which the next one was stuck', () => {
    tell(
      [
        ...started(2),
        [3000, 'exit 1', 'ended crash, spawn 3@0, take-over 0 by 2'],
        [3100, 'ready 3, silent 3', 'hand-back 0 by 2'],
        [10_200, '', '+6100 take-over 0 by 2, +10100 kill 3, +10100 warn, spawn 4@0'],
      ],
      { timeout: 7, crashLimit: 2 },
    );
  });

  it('counts only if it served: not once its successor has replaced it', () => {
    tell(
      [
        ...started(2),
        [1000, 'leave 1', 'spawn 3@0'],
        [1300, 'ready 3, silent 1', 'drain 1'],
        [4310, 'exit 1', '+4300 kill 1, ended stall'],
        [4320, 'exit 2', 'ended crash, spawn 4@1, take-over 1 by 3'],
      ],
      { timeout: 3 },
    );
  });

  it('is forgotten with its slot', () => {
    tell([
      ...started(2),
      [1000, 'exit 2', 'ended crash, spawn 3@1, take-over 1 by 1'],
      [1100, 'ready 3, exit 3', 'ended crash'],
      [1110, 'size 1', ''],
      [1120, 'size 2', 'spawn 4@1'],
      [1200, 'ready 4, exit 4', 'ended crash, spawn 5@1'],
    ]);
  });

  it('while another serves never ends the server, at the default limit', () => {
    const story = new Story(SETTINGS);
    for (const events of ['', 'ready 1, ready 2']) story.at(0, events);
    let out = story.at(6000, 'exit 2');
    let workerId = 2;
    for (let now = 6000; now < 600_000; now += 50) {
      if (out.some((said) => said.endsWith(`spawn ${workerId + 1}@1`))) {
        workerId++;
        story.at(now, `ready ${workerId}`);
        out = story.at(now, `exit ${workerId}`);
      } else {
        out = story.at(now + 50, '');
      }
    }
    assert.ok(workerId > 50 && workerId < 80, `${workerId} tries in ten minutes`);
    assert.deepEqual(story.at(600_000, '?').slice(0, 1), ['ready: 1 of 2 workers are ready']);
  });

  it('and leaves no stable worker, five times the crash limit in a row, ends the server, even over more than a minute', () => {
    const story = new Story({ ...SETTINGS, workers: 1, crashLimit: 4 });
    let now = 0;
    let workerId = 1;
    let halt: Decision | undefined;
    while (!halt && workerId < 100) {
      story.at(now, '');
      story.at(now, `ready ${workerId}`);
      halt = story.decisions(now, `exit ${workerId}`).find((d) => d.do === 'halt');
      workerId++;
      now += 11_000;
    }
    assert.deepEqual(
      [workerId - 1, halt],
      [
        20,
        {
          do: 'halt',
          exit: 'boot',
          why: '20 workers in a row died within 5 s of readiness, the last: exit code 1',
        },
      ],
    );
  });

  it('leaves no stable worker while the others have only just become ready', () => {
    const story = new Story({ ...SETTINGS, crashLimit: 4 });
    let halt: Decision | undefined;
    let round = 0;
    for (; !halt && round < 50; round++) {
      const [a, b] = [2 * round + 1, 2 * round + 2];
      story.at(round * 11_000, '');
      story.at(round * 11_000, `ready ${a}, ready ${b}`);
      halt = story.decisions(round * 11_000 + 500, `exit ${a}, exit ${b}`).find((d) => d.do === 'halt');
    }
    assert.equal(round, 10);
  });

  it('is warned of once, when as many as the crash limit did', () => {
    const story = new Story({ ...SETTINGS, workers: 1, crashLimit: 3 });
    const said: string[] = [];
    for (let workerId = 1; workerId < 9; workerId++) {
      story.at(workerId * 11_000, '');
      story.at(workerId * 11_000, `ready ${workerId}`);
      for (const d of story.decisions(workerId * 11_000, `exit ${workerId}`))
        if (d.do === 'warn') said.push(`${workerId}: ${d.why}`);
    }
    assert.deepEqual(said, ['3: 3 workers in a row died within 5 s of readiness: the restart backoff grows to 10 s']);
  });
});
