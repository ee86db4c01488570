/** The lease of test/process/leader.test.ts for longer: five minutes, so it is here. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { leaders, shake } from '../support/leaders.ts';

const ROUNDS = 200;

test(`over ${ROUNDS} reloads and kills never two lead, and a leader is back within a second`, async (t) => {
  const env = { TSUNICORN_WORKERS: '3', TSUNICORN_CRASH_LIMIT: '1000' };
  const all = await leaders(t, { env });
  await shake(all, ROUNDS, Math.random);
  assert.equal(await all.server.stop(), 0);
  const { gaps, overlaps } = all.account;
  assert.deepEqual(overlaps, []);
  assert.ok(gaps.length >= ROUNDS, `${gaps.length} changes`);
  const sorted = gaps.toSorted((a, b) => a - b);
  const at = (share: number): string => (sorted[Math.floor(share * (sorted.length - 1))] ?? 0).toFixed(1);
  t.diagnostic(
    `${gaps.length} changes; without a leader: median ${at(0.5)} ms, p99 ${at(0.99)} ms, longest ${at(1)} ms`,
  );
  assert.ok(Number(at(1)) < 1_000);
});
