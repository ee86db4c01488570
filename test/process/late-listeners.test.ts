/** Programs that listen later than they could be served, or with one server after another. */
import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from 'node:test';
import { Load } from '../support/load.ts';
import { freePort, run, start } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const one = { TSUNICORN_WORKERS: '1' };
const late = 'programs/late-listener.cjs';

for (const FORM of ['plain', 'wrapped', 'on a port of its own']) {
  test(`an exported app is not ready before it listens: ${FORM}`, async (t) => {
    const server = await (await start(t, { app: late, env: { ...one, FORM } })).ready();
    assert.match(server.stdout, /LISTENING/);
    await server.untilLogged(/is ready with late-listener\.cjs \(listens on port \d+\)/);
    assert.equal((await server.get('/x')).body, 'rows /x');
    if (FORM !== 'plain') assert.equal((await server.get('/live')).body, 'live');
    assert.deepEqual(server.logged(/serves the export|also listens/), []);
    assert.equal(await server.stop(), 0);
  });
}

test('a reload to an exported app that listens later answers no request too early', async (t) => {
  const server = await (await start(t, { app: late })).ready();
  const load = new Load(t, { port: server.port, clients: 4, kind: 'short' });
  server.signal('SIGHUP');
  await server.untilLogged('worker ended: exit code 0', 2);
  const { ok, failures } = await load.stop();
  assert.deepEqual(failures, {});
  assert.ok(ok > 0);
});

test('the server that listens takes over from the export, whose wait was too short or not wanted', async (t) => {
  const env = { ...one, FORM: 'wrapped', TSUNICORN_WAIT_LISTEN: 'false' };
  const server = await (await start(t, { app: late, env })).ready();
  assert.equal(server.stdout.includes('LISTENING'), false);
  const kept = net.connect(server.port, '127.0.0.1').setEncoding('utf8');
  let text = '';
  kept.on('data', (data: string) => {
    text += data;
  });
  kept.write('GET /live HTTP/1.1\r\nHost: x\r\n\r\n');
  await waitFor('the answer of the export', () => text.includes('no database yet /live'));
  await waitFor('it listens', () => server.stdout.includes('LISTENING'));
  assert.equal((await server.get('/live')).body, 'live');
  // Also on a connection that was open before, which ends with the next response.
  kept.write('GET /live HTTP/1.1\r\nHost: x\r\n\r\n');
  await waitFor('the answer of the server', () => text.endsWith('\r\n\r\nlive'));
  assert.match(text, /Connection: close\r\n[\s\S]*live$/);
  await waitFor('the end', () => kept.readableEnded);
  assert.deepEqual(server.logged(/closed its server|also listens/), []);
  assert.equal(await server.stop(), 0);
});

for (const [what, app, env, waits] of [
  ['named', 'programs/exports-named.mjs:app', {}, false],
  ['without a word of listening', 'programs/pending-export.cjs', {}, false],
  ['that never listens', late, { FORM: 'never', DATABASE_MS: '100' }, true],
] as const) {
  test(`an exported app ${what} is served`, async (t) => {
    const server = await (await start(t, { app, env: { ...one, ...env } })).ready(waits ? 60 : undefined);
    assert.equal((await server.get('/')).status, 200);
    const line =
      /serves the export of late-listener\.cjs, though late-listener\.cjs has a call .* TSUNICORN_WAIT_LISTEN/;
    assert.equal(server.logged(line).length, waits ? 1 : 0);
    assert.equal(await server.stop(), 0);
  });
}

test('check does not wait for an exported app to listen', async (t) => {
  const { code, stdout } = await run(t, { app: late, args: ['check'], env: { DATABASE_MS: '100000' } });
  assert.equal(code, 0);
  assert.match(stdout, /ok: late-listener\.cjs can be served/);
});

for (const env of [{ LATE_MS: '0' }, { LATE_MS: '800' }, { LATE_MS: '800', SAME: '1' }]) {
  test(`a server makes way for the next on its port: ${JSON.stringify(env)}`, async (t) => {
    const server = await (await start(t, { app: 'programs/holding-page.js', env: { ...one, ...env } })).ready();
    const statuses = new Set<number>();
    await waitFor('the real server answers', async () => {
      const { status, body } = await server.get('/');
      statuses.add(status);
      return body.startsWith('real');
    });
    assert.ok([...statuses].every((status) => status === 200 || status === 503));
    assert.match(server.stdout, /closed false/);
    if (!('SAME' in env)) assert.match(await handshake(server.port), /^HTTP\/1\.1 101 [\s\S]*upgraded$/);
    // It would be replaced a second after the close() that no other server followed.
    await assert.rejects(
      waitFor('a crash', () => server.logged(/closed its server|drains/).length > 0, { seconds: 2 }),
    );
    assert.match((await server.get('/')).body, /^real/);
    assert.deepEqual(server.logged('also listens'), []);
    assert.equal(await server.stop(), 0);
  });
}

test('a server that makes way for none: the worker is replaced', async (t) => {
  const env = { ...one, LATE_MS: '300', NONE: '1' };
  const server = await (await start(t, { app: 'programs/holding-page.js', env })).ready();
  await server.untilLogged('the app closed its server: this worker finishes its requests and is replaced');
});

const others = 'programs/other-protocols.cjs';

test('HTTP/2 first, and HTTP in its callback once the database has answered', async (t) => {
  const OTHER_PORT = String(await freePort());
  const env = { ...one, ONLY: 'http2 first', LATER_MS: '600', OTHER_PORT };
  const server = await (await start(t, { app: others, env })).ready();
  assert.equal((await server.get('/')).body, 'http');
  await server.untilLogged(`the app also listens on port ${OTHER_PORT}`);
  assert.equal(await server.stop(), 0);
});

for (const [ONLY, expected] of [
  ['tcp', /only with a server of another protocol \(node:net\), on port \d+, but tsunicorn serves HTTP/],
  ['tcp on PORT', /only with a server of another protocol \(node:net\), on port \d+, but tsunicorn serves HTTP/],
  ['udp', /other-protocols\.cjs is an object with no properties.*\. Nor does it call listen\(\)/],
  ['http2', /only with an HTTP\/2 server, on port \d+/],
] as const) {
  test(`4, at once: a program that listens only with ${ONLY}`, async (t) => {
    const OTHER_PORT = String(await freePort());
    const server = await start(t, { app: others, env: { ...one, ONLY, OTHER_PORT } });
    assert.equal((await server.exited).code, 4);
    assert.match(server.log.at(-1)?.msg ?? '', expected);
    assert.equal(server.logged('worker ended').length, 1);
  });
}

async function handshake(port: number): Promise<string> {
  const socket = net.connect(port, '127.0.0.1').setEncoding('utf8');
  socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
  let text = '';
  for await (const chunk of socket) text += chunk;
  return text;
}
