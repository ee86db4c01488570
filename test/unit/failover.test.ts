import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Decision } from '../../src/arbiter/pool/decisions.ts';
import { Failover, SILENT_MS } from '../../src/arbiter/pool/failover.ts';
import { inWords } from './pool-story.ts';

/** Who serves after an event, as `workerId@slot`, silent ones with `!`, those whose app is not ready with `-`, and what is to be done about it. */
type Row = readonly [event: string, serving: string, outcome: string];

function tell(rows: readonly Row[]): void {
  const decisions: Decision[] = [];
  const failover = new Failover(decisions);
  const told = rows.map(([event, who]): Row => {
    for (const [what, n] of event.split(', ').map((e) => e.split(' '))) {
      if (what === 'open') failover.opened(Number(n));
      if (what === 'gone') failover.gone(Number(n));
      const [workerId = 0, slot = 0] = (n ?? '').split('@').map(Number);
      if (what === 'took') failover.confirmed(workerId, slot);
    }
    const serving = who
      .split(' ')
      .filter(Boolean)
      .map((w) => {
        const [workerId, slot] = w.replace(/[!-]/g, '').split('@').map(Number);
        return {
          workerId: workerId as number,
          slot: slot as number,
          lastHeartbeat: w.includes('!') ? -SILENT_MS : 1 - SILENT_MS,
          appReady: !w.includes('-'),
        };
      });
    failover.arrange(serving, 0);
    return [event, who, decisions.splice(0).map(inWords).join(', ')];
  });
  assert.deepEqual(told, rows);
}

describe('the sockets of a slot without a worker', () => {
  it('have a neighbour until there is one again', () => {
    tell([
      ['open 0, open 1', '1@0 2@1', ''],
      ['gone 2', '1@0', 'take-over 1 by 1'],
      ['', '1@0', ''],
      ['', '1@0 3@1', 'hand-back 1 by 1'],
      ['', '1@0 3@1', ''],
    ]);
  });

  it('need no neighbour if they were never listened on', () => {
    tell([
      ['open 0', '1@0', ''],
      ['', '1@0', ''],
    ]);
  });

  it('pass to another neighbour when theirs is gone, drains or was killed', () => {
    tell([
      ['open 0, open 1, open 2', '1@0 2@1 3@2', ''],
      ['gone 3', '1@0 2@1', 'take-over 2 by 1'],
      ['', '2@1', 'take-over 0 by 2, take-over 2 by 2'],
      ['gone 1', '2@1', ''],
      ['', '2@1 4@0', 'hand-back 0 by 2'],
    ]);
  });

  it('are not handed back by a worker that is gone', () => {
    tell([
      ['open 0, open 1', '1@0 2@1', ''],
      ['gone 1', '2@1', 'take-over 0 by 2'],
      ['gone 2', '3@0', 'take-over 1 by 3'],
    ]);
  });

  it('wait while no worker serves', () => {
    tell([
      ['open 0, open 1', '1@0 2@1', ''],
      ['gone 1, gone 2', '', ''],
      ['', '3@1', 'take-over 0 by 3'],
    ]);
  });

  it('are spread over the neighbours', () => {
    tell([
      ['open 0, open 1, open 2, open 3, open 4, open 5', '1@0 2@1 3@2 4@3 5@4 6@5', ''],
      [
        'gone 3, gone 4, gone 5, gone 6',
        '1@0 2@1',
        'take-over 2 by 1, take-over 3 by 2, take-over 4 by 1, take-over 5 by 2',
      ],
      ['', '1@0 2@1 7@5', 'hand-back 5 by 2'],
      ['gone 2', '1@0 7@5', 'take-over 1 by 7, take-over 3 by 7'],
    ]);
  });

  it('are left alone while two workers share the slot and one of them ends', () => {
    tell([
      ['open 0', '1@0 2@0', ''],
      ['gone 1', '2@0', ''],
    ]);
  });

  it('have one if theirs is silent, until it responds or is replaced', () => {
    tell([
      ['open 0, open 1', '1@0 2@1', ''],
      ['', '1@0! 2@1', 'take-over 0 by 2'],
      ['', '1@0! 2@1', ''],
      ['', '1@0 2@1', 'hand-back 0 by 2'],
      ['', '1@0! 2@1', 'take-over 0 by 2'],
      ['gone 1', '2@1', ''],
      ['', '3@0 2@1', 'hand-back 0 by 2'],
    ]);
  });

  it('have no silent neighbour while there are others', () => {
    tell([
      ['open 0, open 1, open 2', '1@0 2@1 3@2', ''],
      ['', '1@0! 2@1! 3@2', 'take-over 0 by 3, take-over 1 by 3'],
      ['', '1@0! 2@1! 3@2!', ''],
      ['', '1@0 2@1! 3@2!', 'hand-back 0 by 3, hand-back 1 by 3, take-over 1 by 1, take-over 2 by 1'],
      ['gone 1', '2@1! 3@2!', 'take-over 0 by 2'],
      ['gone 2, gone 3', '', ''],
    ]);
  });

  it('need none while one of two workers of the slot is responsive', () => {
    tell([
      ['open 0, open 1', '1@0 2@1', ''],
      ['', '1@0! 3@0 2@1', ''],
    ]);
  });
});

describe('a worker whose app is not ready', () => {
  it('stands aside once a neighbour accepts, and accepts again before the neighbour stops', () => {
    tell([
      ['open 0, open 1', '1@0 2@1', ''],
      ['', '1@0- 2@1', 'take-over 0 by 2'],
      ['', '1@0- 2@1', ''],
      ['took 2@0', '1@0- 2@1', 'hand-back 0 by 1'],
      ['', '1@0- 2@1', ''],
      ['', '1@0 2@1', 'take-over 0 by 1'],
      ['', '1@0 2@1', ''],
      ['took 1@0', '1@0 2@1', 'hand-back 0 by 2'],
      ['', '1@0 2@1', ''],
    ]);
  });

  it('serves on if none is ready, and serves again when none is ready any more', () => {
    tell([
      ['open 0, open 1', '1@0- 2@1-', ''],
      ['', '1@0- 2@1', 'take-over 0 by 2'],
      ['took 2@0', '1@0- 2@1', 'hand-back 0 by 1'],
      ['', '1@0- 2@1-', 'take-over 0 by 1'],
      ['took 1@0', '1@0- 2@1-', 'hand-back 0 by 2'],
    ]);
  });

  it('serves again when its neighbour is gone', () => {
    tell([
      ['open 0, open 1', '1@0- 2@1', 'take-over 0 by 2'],
      ['took 2@0', '1@0- 2@1', 'hand-back 0 by 1'],
      ['gone 2', '1@0-', 'take-over 0 by 1, take-over 1 by 1'],
      ['took 1@0', '1@0-', ''],
    ]);
  });

  it('is told to accept, once, although it is silent, if no other worker responds', () => {
    tell([
      ['open 0, open 1', '1@0- 2@1', 'take-over 0 by 2'],
      ['took 2@0', '1@0- 2@1', 'hand-back 0 by 1'],
      ['gone 2', '1@0-!', 'take-over 0 by 1, take-over 1 by 1'],
      ['', '1@0-!', ''],
    ]);
  });

  it('stands aside for another one in its slot', () => {
    tell([
      ['open 0', '1@0-', ''],
      ['', '1@0- 2@0', 'hand-back 0 by 1'],
      ['gone 1', '2@0', ''],
    ]);
  });

  it('takes over for nobody while others are ready', () => {
    tell([
      ['open 0, open 1, open 2', '1@0- 2@1 3@2', 'take-over 0 by 2'],
      ['took 2@0', '1@0- 2@1 3@2', 'hand-back 0 by 1'],
      ['gone 3', '1@0- 2@1', 'take-over 2 by 2'],
      ['took 2@2', '1@0- 2@1', ''],
      ['gone 2', '1@0-', 'take-over 0 by 1, take-over 1 by 1, take-over 2 by 1'],
    ]);
  });

  it('is told again not to accept when it changes its mind before it did', () => {
    tell([
      ['open 0, open 1', '1@0- 2@1', 'take-over 0 by 2'],
      ['took 2@0', '1@0- 2@1', 'hand-back 0 by 1'],
      ['', '1@0 2@1', 'take-over 0 by 1'],
      ['', '1@0- 2@1', 'hand-back 0 by 1'],
      ['took 1@0', '1@0- 2@1', ''],
    ]);
  });
});
