/** Which late workers are killed, and which of them are asked for their stack first. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Decision } from '../../src/arbiter/pool/decisions.ts';
import { PoolWorker, PoolWorkers } from '../../src/arbiter/pool/worker.ts';
import { SETTINGS } from './pool-story.ts';

const NEVER = Number.POSITIVE_INFINITY;

/** A worker that was ready at 0, and drains until `by`; its last heartbeat was at `lastHeartbeat`. */
const drains =
  (by: number, lastHeartbeat: number) =>
  (w: PoolWorker): void => {
    w.ready(0);
    w.drain({ why: 'told to', by, quick: false, drainQueue: false });
    w.heartbeat(lastHeartbeat);
  };

const silent = (w: PoolWorker): void => {
  w.ready(-30_000);
};

for (const [what, bootBy, happened, kills] of [
  ['a worker that does not get ready', 10_000, () => {}, [true]],
  ['a worker that is silent', NEVER, silent, [true]],
  ['a worker that drains and is silent', NEVER, drains(NEVER, -30_000), [true]],
  ['a worker whose loop stopped while it drains', NEVER, drains(10_000, 7_000), [true]],
  ['a worker that waits for a request', NEVER, drains(10_000, 9_500), [false]],
  ['a worker in time', NEVER, drains(10_001, 9_500), []],
] as const satisfies readonly (readonly [string, number, (w: PoolWorker) => void, readonly boolean[]])[]) {
  test(`${what}: ${kills}`, () => {
    const decisions: Decision[] = [];
    const settings = { ...SETTINGS, bootTimeout: bootBy / 1000 };
    const context = { settings, wanted: settings, workers: new PoolWorkers(), decisions };
    const worker = new PoolWorker(1, 0, 0, context);
    happened(worker);
    decisions.splice(0);
    worker.killIfLate(10_000);
    assert.deepEqual(
      decisions.map((decision) => decision.do === 'kill' && decision.stuck),
      kills,
    );
  });
}
