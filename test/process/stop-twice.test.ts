/** Signals that go on coming while a server stops. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { start } from '../support/server.ts';

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`${signal} again and again until the end is an end with 0`, async (t) => {
    for (let round = 0; round < 5; round++) {
      const server = await (await start(t, { app: 'basic.js', env: { TSUNICORN_WORKERS: '1' } })).ready();
      const again = setInterval(() => server.child.kill(signal), 2);
      t.after(() => clearInterval(again));
      const [code, by] = await new Promise<[number | null, string | null]>((resolve) => {
        server.child.once('exit', (...end) => resolve(end));
        server.child.kill(signal);
      });
      clearInterval(again);
      assert.deepEqual([code, by], [0, null], `round ${round}`);
    }
  });
}
