/** Who is asked where it is stuck before it is killed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Deadlines } from '../../src/arbiter/pool/deadlines.ts';
import type { Decision } from '../../src/arbiter/pool/decisions.ts';
import { type PoolWorker, PoolWorkers } from '../../src/arbiter/pool/worker.ts';
import { SETTINGS } from './pool-story.ts';

const NEVER = Number.POSITIVE_INFINITY;

for (const [what, member, kills] of [
  ['a worker that does not get ready', { state: 'booting', bootBy: 10_000 }, [true]],
  ['a worker that is silent', { state: 'ready', lastBeat: -30_000 }, [true]],
  ['a worker that drains and is silent', { state: 'draining', killAt: NEVER, lastBeat: -30_000 }, [true]],
  ['a worker whose loop stopped while it drains', { state: 'draining', killAt: 10_000, lastBeat: 7_000 }, [true]],
  ['a worker that waits for a request', { state: 'draining', killAt: 10_000, lastBeat: 9_500 }, [false]],
  ['a worker in time', { state: 'draining', killAt: 10_001, lastBeat: 9_500 }, []],
] as const satisfies readonly (readonly [string, Partial<PoolWorker>, readonly boolean[]])[]) {
  test(`${what}: ${kills}`, () => {
    const members = new PoolWorkers();
    members.spawn({ slot: 0, generation: 0, now: 0, bootBy: NEVER }, []);
    Object.assign(members.get(1) as PoolWorker, member);
    const out: Decision[] = [];
    new Deadlines(SETTINGS).killLate(members, 10_000, out);
    assert.deepEqual(
      out.map((decision) => decision.do === 'kill' && decision.stuck),
      kills,
    );
  });
}
