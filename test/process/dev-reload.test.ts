import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { start, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

async function started(t: { after(fn: () => unknown): void }, env: Record<string, string> = {}) {
  const server = await start(t, { env: { TSUNICORN_APP: 'app.mjs', TSUNICORN_RELOAD: 'true', ...env } });
  const write = (name: string, text: string) => writeFileSync(join(server.directory, name), text);
  mkdirSync(join(server.directory, 'lib'));
  write('lib/text.mjs', 'export default "one";');
  write(
    'app.mjs',
    'import text from "./lib/text.mjs"; export default (q, s) => q.url === "/sse" ? s.write("…") : q.url !== "/never" && s.end(text);',
  );
  await server.ready();
  return { server, write };
}

/** All workers answer with `text`. Every request until then has to be answered too. */
const answers = (server: TestServer, text: string) =>
  waitFor(
    `"${text}" from all`,
    async () => {
      const all = await Promise.all(Array.from({ length: 12 }, () => server.get('/')));
      assert.ok(all.every(({ status }) => status === 200));
      return all.every(({ body }) => body === text);
    },
    { state: () => server.stderr.slice(-3000) },
  );

test('a saved file is served by new workers soon, also while a browser holds an event stream', async (t) => {
  const { server, write } = await started(t);
  const warning = await server.untilLogged('TSUNICORN_RELOAD is on, for development alone');
  assert.equal(warning.level, 'warn');
  const streams = Array.from({ length: 8 }, () => server.get('/sse').catch(() => undefined));
  await waitFor('they stream', async () => {
    const open = [0, 1].map((w) => server.metric(`tsunicorn_http_requests_in_flight{worker="${w}"}`));
    return (await Promise.all(open)).reduce((a, b) => a + b) === 8;
  });
  write('lib/text.mjs', 'export default "two";');
  const noticed = await server.untilLogged('lib/text.mjs changed: reloading');
  const ready = await server.untilLogged('is ready', 3);
  const took = Date.parse(String(ready.time)) - Date.parse(String(noticed.time));
  t.diagnostic(`the first new worker was ready ${took} ms after the change was noticed`);
  await answers(server, 'two');
  await Promise.all(streams);
  // The streams end a moment before their workers.
  await waitFor(
    'both have been replaced',
    async () => (await server.metric('tsunicorn_worker_restarts_total{reason="reload"}')) === 2,
  );
  assert.equal(server.logged('changed: reloading').length, 1);
  assert.deepEqual(server.logged('is killed'), []);
  assert.equal(await server.stop(), 0);
});

test('what has no answer a second after a save is reset', async (t) => {
  const { server, write } = await started(t, { TSUNICORN_WORKERS: '1' });
  const never = server.get('/never').catch((error: NodeJS.ErrnoException) => error.code);
  const inFlight = () => server.metric('tsunicorn_http_requests_in_flight{worker="0"}');
  await waitFor('it is in flight', async () => (await inFlight()) === 1);
  write('lib/text.mjs', 'export default "two";');
  await server.untilLogged('lib/text.mjs changed: reloading');
  assert.equal(await never, 'ECONNRESET');
  const [drains, killed] = [
    await server.untilLogged('worker drains: '),
    await server.untilLogged('worker is killed: still draining at its deadline'),
  ].map(({ time }) => Date.parse(String(time)));
  const took = Number(killed) - Number(drains);
  assert.ok(took >= 950 && took < 15_000, `${took} ms`);
  await waitFor(
    'it is counted',
    async () => (await server.metric('tsunicorn_worker_restarts_total{reason="reload"}')) === 1,
  );
  assert.equal(await server.stop(), 0);
});

test('broken code is shown and the old goes on; the next good save is taken', async (t) => {
  const { server, write } = await started(t);
  write('lib/text.mjs', 'export default "two');
  const line = await server.untilLogged('the reload is given up');
  assert.match(line.msg, /app\.mjs cannot be imported/);
  await answers(server, 'one');
  assert.equal((await server.admin('/readyz')).status, 200);
  assert.equal(await server.metric('tsunicorn_worker_restarts_total{reason="boot"}'), 1);
  write('lib/text.mjs', 'export default "three";');
  await answers(server, 'three');
  assert.equal(await server.stop(), 0);
});

test('a burst of saves is one reload; what is no source, and the own logs, are none', async (t) => {
  const { server, write } = await started(t, { TSUNICORN_ACCESS_LOG: 'access.json', TSUNICORN_ERROR_LOG: '-' });
  await answers(server, 'one'); // each leaves a line in access.json
  mkdirSync(join(server.directory, 'node_modules'));
  write('node_modules/x.js', '1');
  write('notes.txt', '1');
  for (let i = 0; i < 20; i++) write(`lib/file-${i}.mjs`, String(i));
  write('lib/text.mjs', 'export default "two";');
  await answers(server, 'two');
  await waitFor(
    'both are replaced',
    async () => (await server.metric('tsunicorn_worker_restarts_total{reason="reload"}')) === 2,
  );
  const lines = server.logged('changed: reloading').map(({ msg }) => msg);
  assert.deepEqual(lines, ['lib/file-0.mjs and 20 more changed: reloading']);
  assert.equal(await server.stop(), 0);
});

test('in production a second sentence warns of it; without the setting nothing is watched', async (t) => {
  const { server } = await started(t, { NODE_ENV: 'production' });
  await server.untilLogged(/TSUNICORN_RELOAD is on.*NODE_ENV is production here: unset it/);
  assert.equal(await server.stop(), 0);
  const { server: other, write } = await started(t, { TSUNICORN_RELOAD: 'false' });
  assert.deepEqual(other.logged('TSUNICORN_RELOAD'), []);
  write('lib/text.mjs', 'export default "two";');
  other.signal('SIGUSR2'); // as a mark in the log
  await other.untilLogged('status report');
  assert.equal((await other.get('/')).body, 'one');
  assert.deepEqual(other.logged('reloading'), []);
  assert.equal(await other.stop(), 0);
});
