import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { start } from '../support/server.ts';

const example = (path: string): string => fileURLToPath(new URL(`../../examples/${path}`, import.meta.url));

test('Express: routes, JSON, an error, and a drain with a request in flight', async (t) => {
  const server = await (await start(t, { app: example('express/app.js') })).ready();
  assert.equal(JSON.parse((await server.get('/')).body).hello, 'world');
  const body = JSON.stringify({ a: ['ü', 1] });
  const headers = { 'content-type': 'application/json' };
  assert.deepEqual(JSON.parse((await server.get('/echo', { method: 'POST', headers, body })).body), JSON.parse(body));
  assert.equal((await server.get('/error')).status, 500);
  assert.equal((await server.get('/nothing')).status, 404);
  const slow = server.get('/slow?ms=500');
  await server.get('/');
  server.signal('SIGTERM');
  assert.equal(JSON.parse((await slow).body).waited, 500);
  assert.equal((await server.exited).code, 0);
  // The path as it came, although routers rewrite it on the way.
  assert.ok(server.access.some(({ path, query, status }) => path === '/slow' && query === 'ms=500' && status === 200));
});

for (const app of ['plain-node/app.js', 'plain-node/server.js']) {
  test(`plain Node.js: ${app}`, async (t) => {
    const server = await (await start(t, { app: example(app) })).ready();
    assert.match((await server.get('/there')).body, /^GET \/there from process \d+\n$/);
    assert.equal(await server.stop(), 0);
  });
}
