/** An exported application is closed at the end of a drain, once, with its hooks. Fastify is real. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { start } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const HOWS = [
  'nobody',
  'a handler',
  'a handler that nobody awaits',
  'a handler that only exits',
  'a handler for something else',
];

for (const LISTENS of ['', '1']) {
  for (const HOW of HOWS) {
    test(`Fastify${LISTENS && ' that listens'} is closed once, and no request cut, where ${HOW} closes it`, async (t) => {
      const env = { TSUNICORN_WORKERS: '1', LISTENS, HOW };
      const server = await (await start(t, { app: 'programs/closes.mjs', env })).ready();
      const slow = server.get('/slow');
      await waitFor('the request is in flight', () => server.stdout.includes('in flight'));
      server.signal('SIGTERM');
      assert.equal((await slow).body, 'database open');
      assert.equal((await server.exited).code, 0);
      const said = [...server.stdout.matchAll(/^hook: (.*)$/gm)].map(([, text]) => text);
      const before = HOW.endsWith('else') ? ['tracing flushed'] : [];
      assert.deepEqual(said, [...before, 'preClose', 'onClose']);
      await server.untilLogged('worker ended: exit code 0');
      assert.deepEqual(server.logged(/failed|killed/), []);
    });
  }
}

test('a quick stop lets requests have what close() takes from them', async (t) => {
  const env = { TSUNICORN_WORKERS: '1', HOW: 'nobody' };
  const server = await (await start(t, { app: 'programs/closes.mjs', env })).ready();
  const slow = server.get('/slow');
  await waitFor('the request is in flight', () => server.stdout.includes('in flight'));
  server.signal('SIGINT');
  assert.equal((await slow).body, 'database open');
  await server.exited;
  assert.match(server.stdout, /hook: onClose/);
});
