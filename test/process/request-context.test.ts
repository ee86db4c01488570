import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { MAIN, start } from '../support/server.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';

/** An app with a copy of tsunicorn of its own, as beside an image that has another. */
function appDirectory(t: TestContext, app: string): string {
  const directory = mkdtempSync(join(tmpdir(), 'tsunicorn-app-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const own = join(directory, 'node_modules/tsunicorn');
  mkdirSync(own, { recursive: true });
  cpSync(dirname(MAIN), join(own, 'dist'), { recursive: true });
  cpSync(join(ROOT, 'package.json'), join(own, 'package.json'));
  symlinkSync(join(ROOT, 'node_modules/pino'), join(directory, 'node_modules/pino'));
  writeFileSync(join(directory, 'app.mjs'), app);
  return directory;
}

const APP = `
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { requestContext } from 'tsunicorn';

const log = pino({ mixin: () => requestContext() ?? {} }, pino.destination({ dest: 'app.log', sync: true }));
log.info('loaded');

export default async (request, response) => {
  await sleep(Math.random() * 20);
  log.info({ path: request.url }, 'handled');
  if (request.url === '/throw') throw new Error('thrown on purpose');
  response.end('ok');
};
`;

test('the app’s own log has the ids of the access log, also from another copy of the package', async (t) => {
  const directory = appDirectory(t, APP);
  const env = { TSUNICORN_CHDIR: directory, TSUNICORN_WORKERS: '1' };
  const server = await (await start(t, { app: join(directory, 'app.mjs'), env })).ready();
  const headers: Record<string, Record<string, string>> = {
    '/given': { 'x-request-id': 'abc' },
    '/trace': { traceparent: `00-${TRACE}-00f067aa0ba902b7-01` },
    '/both': { 'x-request-id': 'def', traceparent: `00-${TRACE}-00f067aa0ba902b7-01` },
    '/throw': {},
  };
  for (let i = 0; i < 20; i++) headers[`/made${i}`] = {};
  await Promise.all(Object.entries(headers).map(([path, given]) => server.get(path, { headers: given })));
  assert.equal(await server.stop(), 0);

  const lines = readFileSync(join(directory, 'app.log'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.equal(lines[0].msg, 'loaded');
  assert.equal(lines[0].request_id, undefined);
  const handled = new Map(lines.slice(1).map((line) => [line.path, line]));
  assert.equal(handled.size, Object.keys(headers).length);
  for (const { path, request_id, trace_id } of server.access) {
    assert.ok(typeof request_id === 'string' && request_id !== '');
    assert.equal(handled.get(path).request_id, request_id, String(path));
    assert.equal(handled.get(path).trace_id, trace_id, String(path));
  }
  const ids = new Set(server.access.map(({ request_id }) => request_id));
  assert.equal(ids.size, Object.keys(headers).length);
  assert.equal(handled.get('/given').request_id, 'abc');
  assert.equal(handled.get('/trace').request_id, TRACE);
  assert.equal(handled.get('/both').trace_id, TRACE);
  const [failed] = server.logged('the request handler failed');
  assert.equal(failed?.request_id, handled.get('/throw').request_id);
});

test('a request carries no context where the app does not ask for one', async (t) => {
  const app = `
    const hook = globalThis[Symbol.for('tsunicorn.request-context')];
    export default (request, response) => response.end(String(hook.current()));
  `;
  const directory = appDirectory(t, app);
  const server = await (await start(t, { app: join(directory, 'app.mjs') })).ready();
  assert.equal((await server.get('/', { headers: { 'x-request-id': 'abc' } })).body, 'undefined');
});

test('the app runs as well without tsunicorn', async (t) => {
  const app = `
    import { requestContext } from 'tsunicorn';
    console.log(String(requestContext()));
  `;
  const directory = appDirectory(t, app);
  assert.equal(execFileSync(process.execPath, [join(directory, 'app.mjs')], { encoding: 'utf8' }), 'undefined\n');
});
