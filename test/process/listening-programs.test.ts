/** Programs that call listen() themselves. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import net from 'node:net';
import { test } from 'node:test';
import { HANDSHAKE, rawRequest } from '../support/raw.ts';
import { freePort, request, run, start, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const one = { TSUNICORN_WORKERS: '1' };

/** Host, port and family that `address()` gives; the port is the server's own where none was asked for. */
const forms: [form: string, callbacks: number, address: unknown][] = [
  ['nothing', 0, { address: '::', family: 'IPv6', port: 'served' }],
  ['callback', 1, { address: '::', family: 'IPv6', port: 'served' }],
  ['port', 1, { address: '::', family: 'IPv6', port: 3000 }],
  ['text', 1, { address: '::', family: 'IPv6', port: 3000 }],
  ['zero', 1, { address: '::', family: 'IPv6', port: 'served' }],
  ['host', 1, { address: '127.0.0.7', family: 'IPv4', port: 3000 }],
  ['backlog', 1, { address: '127.0.0.7', family: 'IPv4', port: 3000 }],
  ['options', 1, { address: '127.0.0.1', family: 'IPv4', port: 3000 }],
  ['signal', 1, { address: '::', family: 'IPv6', port: 3000 }],
  ['noPath', 1, { address: '127.0.0.7', family: 'IPv4', port: 3000 }],
  ['path', 1, '/tmp/never-created.sock'],
  ['again', 1, { address: '::', family: 'IPv6', port: 3000 }],
  ['twice', 1, { address: '::', family: 'IPv6', port: 3000 }],
];

for (const [form, callbacks, address] of forms) {
  test(`listen() is captured in this form: ${form}`, async (t) => {
    const env = { ...one, FORM: form };
    const server = await (await start(t, { app: 'programs/listens.js', env })).ready();
    const expected = typeof address === 'object' ? { ...address } : address;
    const seen = JSON.parse((await server.get('/')).body);
    if ((expected as { port?: unknown }).port === 'served') Object.assign(expected as object, { port: server.port });
    assert.deepEqual(seen.address, expected);
    const { returned, listening, listeningAtOnce, events } = seen;
    assert.deepEqual(
      { returned, listening, listeningAtOnce, events },
      { returned: true, listening: true, listeningAtOnce: true, events: 1 },
    );
    assert.equal(seen.callbacks, callbacks);
    assert.notEqual(seen.synchronousCallback, true);
    assert.equal(seen.code, form === 'twice' ? 'ERR_SERVER_ALREADY_LISTEN' : undefined);
    assert.equal(existsSync('/tmp/never-created.sock'), false);
    assert.equal(await connects(3000), false, 'nothing listens where the program asked to');
    assert.equal(await server.stop(), 0);
  });
}

test('a server that listens long after the import is waited for', async (t) => {
  const env = { ...one, LATE_MS: '2500' };
  const server = await (await start(t, { app: 'programs/late.js', env })).ready();
  assert.equal((await server.get('/')).body, 'late');
  // Meanwhile the log says what it waits for.
  assert.match((await server.untilLogged('waiting for the app to call listen()')).msg, /found notAnApp/);
  assert.equal(await server.stop(), 0);
});

test('3: a program that goes on and never listens', async (t) => {
  const env = { ...one, LATE_MS: 'never', TSUNICORN_BOOT_TIMEOUT: '3', TSUNICORN_CRASH_LIMIT: '1' };
  const server = await start(t, { app: 'programs/late.js', env });
  assert.equal((await server.exited).code, 3);
  assert.match(server.log.at(-1)?.msg ?? '', /listen\(\) by late\.js, which exports no app, has not settled/);
});

test('4: a module that neither exports an app nor listens, at once', async (t) => {
  for (const args of [[], ['check']]) {
    const { code, stderr } = await run(t, { app: 'broken/neither.js', args });
    assert.equal(code, 4);
    assert.match(stderr, /neither\.js exports no app: .*[^.]\. Nor does it call listen\(\)/);
  }
});

test('a program whose import goes on as long as it serves', async (t) => {
  const server = await (await start(t, { app: 'programs/goes-on.js', env: one })).ready();
  assert.equal((await server.get('/')).body, 'meanwhile');
  assert.equal(await server.stop(), 0);
  assert.match(server.stdout, /told to end\nclosed\n/);
});

for (const env of [one, { ...one, LATE: '1' }]) {
  test(`a module that exports the app and listens is served once, WebSockets too: ${JSON.stringify(env)}`, async (t) => {
    const server = await (await start(t, { app: 'programs/exports-too.js', env })).ready();
    await waitFor('its callback', () => server.stdout.includes('callback'));
    assert.equal((await server.get('/')).body, 'exported');
    assert.equal(await connects(3000), false);
    assert.match(await handshake(server.port), /^HTTP\/1\.1 101 [\s\S]*upgraded$/);
    assert.deepEqual(
      server.log.filter(({ level }) => level !== 'info' && level !== 'debug'),
      [],
    );
    assert.equal((await rawRequest(server.port, 'GET /fails', HANDSHAKE)).status, 500);
    await server.untilLogged('the upgrade listener failed');
    assert.deepEqual(server.logged('worker ended'), []);
    assert.equal(await server.stop(), 0);
    assert.deepEqual(server.logged('unhandled'), []);
  });
}

test('of several servers the one on PORT is the app, the others are shared by all workers', async (t) => {
  const [metrics, raw] = [await freePort(), await freePort()];
  const env = { METRICS_PORT: String(metrics), RAW_PORT: String(raw) };
  const server = await (await start(t, { app: 'programs/several.cjs', env })).ready();
  assert.match((await server.get('/')).body, /^app /);
  const [one, two] = server.workerPids();
  const pids = async (ask: () => Promise<string>): Promise<void> => {
    const answers = new Set<string>();
    await waitFor('answers of both workers', async () => answers.add((await ask()).trim()).size === 2);
    assert.deepEqual([...answers].map((text) => Number(text.split(' ')[1])).sort(), [one, two].sort());
  };
  await pids(async () => (await request({ host: '127.0.0.1', port: metrics })).body);
  await pids(() => read(raw));
  for (const port of [metrics, raw]) {
    const warnings = server.logged(`the app also listens on port ${port}: every worker does`);
    assert.deepEqual(
      warnings.map(({ level, worker }) => ({ level, worker })),
      [{ level: 'warn', worker: 0 }],
    );
  }
  assert.equal(await server.stop(), 0);
});

test('a program gets PORT, unless the environment sets it', async (t) => {
  const server = await (await start(t, { app: 'programs/several.cjs', env: one })).ready();
  await server.untilLogged(`is ready with several.cjs (listens on port ${server.port})`);
  const other = await (await start(t, { app: 'programs/several.cjs', env: { ...one, PORT: '4711' } })).ready();
  await other.untilLogged('is ready with several.cjs (listens on port 4711)');
  for (const each of [server, other]) assert.equal(await each.stop(), 0);
});

test('an extra server cannot take a port that tsunicorn serves', async (t) => {
  const port = await freePort();
  const env = { ...one, TSUNICORN_BIND: `127.0.0.1:${port}`, RAW_PORT: String(port), TSUNICORN_CRASH_LIMIT: '1' };
  const server = await start(t, { app: 'programs/several.cjs', env });
  assert.equal((await server.exited).code, 3);
  assert.ok(server.stderr.includes(`listen EADDRINUSE: tsunicorn serves port ${port}`));
});

test('an extra server cannot take the admin port, and the error names both ways out', async (t) => {
  const admin = await freePort();
  const env = {
    ...one,
    TSUNICORN_ADMIN_BIND: `127.0.0.1:${admin}`,
    RAW_PORT: String(admin),
    TSUNICORN_CRASH_LIMIT: '1',
  };
  const server = await start(t, { app: 'programs/several.cjs', env });
  assert.equal((await server.exited).code, 3);
  assert.ok(
    server.stderr.includes(
      `listen EADDRINUSE: port ${admin} is tsunicorn's admin port: move that (TSUNICORN_ADMIN_BIND)`,
    ),
  );
});

test('a program that asks first whether PORT is free is told that it is', async (t) => {
  const server = await (await start(t, { app: 'programs/probes.js', env: one })).ready();
  const free = [true, false];
  assert.deepEqual(JSON.parse((await server.get('/')).body), [free, free, free].flat());
  assert.deepEqual(JSON.parse((await server.get('/again')).body), [free, free, free, free].flat());
  assert.deepEqual(server.logged(/also listens|closed its server/), []);
  assert.equal(await server.stop(), 0);
});

test('a server that takes raw connections on PORT is refused, if it says so after listen() too', async (t) => {
  const server = await start(t, { app: 'programs/probes.js', env: { ...one, TAKES: '1' } });
  assert.equal((await server.exited).code, 4);
  assert.match(server.log.at(-1)?.msg ?? '', /only with a server of another protocol \(node:net\), on port \d+/);
});

test('4: an app that terminates TLS itself is refused, unless it also has an http server', async (t) => {
  const refused = await run(t, { app: 'programs/https.cjs' });
  assert.equal(refused.code, 4);
  assert.match(refused.log.at(-1)?.msg ?? '', /only with an https server, on port 8443, .* Use an http\.Server/);
  const port = await freePort();
  const env = { ...one, BESIDE: '1', HTTPS_PORT: String(port) };
  const server = await (await start(t, { app: 'programs/https.cjs', env })).ready();
  assert.equal((await server.get('/')).body, 'plain');
  assert.equal(await connects(port), true);
  assert.equal(await server.stop(), 0);
});

test('check serves nothing and binds nothing', async (t) => {
  const [metrics, raw] = [await freePort(), await freePort()];
  const holder = net.createServer().listen(metrics, '127.0.0.1');
  t.after(() => holder.close());
  const env = { METRICS_PORT: String(metrics), RAW_PORT: String(raw) };
  const check = await run(t, { app: 'programs/several.cjs', args: ['check'], env });
  assert.deepEqual({ code: check.code, stderr: check.stderr }, { code: 0, stderr: '' });
  assert.match(check.stdout, /ok: several\.cjs \(listens on port \d+\) can be served/);
});

test('a program that tells another process manager it is ready, and leaves its parent, goes on', async (t) => {
  const server: TestServer = await (await start(t, { app: 'programs/exits.js', env: one })).ready();
  const { body } = await server.get('/disconnect');
  assert.equal((await server.get('/')).body, body);
  // Its reports still come.
  const answered = 'tsunicorn_http_requests_total{method="GET",code="200"}';
  await waitFor('both requests are counted', async () => (await server.metric(answered)) === 2);
  assert.equal((await server.get('/')).body, body);
  assert.deepEqual(server.logged(/drains|ended/), []);
  assert.equal(await server.stop(), 0);
});

for (const [what, env, path, hint] of [
  ['fetch()', {}, '/fetch', /on port \d+, where it listens in name only: .* Add port \d+ to TSUNICORN_BIND/],
  ['http.get(), with PORT', { BIND: '' }, '/get', /tsunicorn serves it on port \d+\. Set PORT=\d+, or let it connect/],
  ['a unix socket', { AT: '/tmp/never-created.sock' }, '/get', /on \/tmp\/never-created\.sock, .* to TSUNICORN_BIND/],
] as const) {
  test(`a program that asks itself where it listens in name only gets a hint, once: ${what}`, async (t) => {
    const AT = 'AT' in env ? env.AT : String(await freePort());
    const bind = 'BIND' in env && { TSUNICORN_BIND: '', HOST: '127.0.0.1', PORT: String(await freePort()) };
    const server = await start(t, { app: 'programs/self-requests.js', env: { ...one, AT, ...bind } });
    const at = bind ? { port: Number(bind.PORT) } : {};
    await server.ready();
    for (const _ of [1, 2]) assert.equal((await server.get(path, at)).status, 500);
    await server.untilLogged('the app connects to itself');
    const lines = server.logged('the app connects to itself');
    assert.match(lines.map(({ msg }) => msg).join('\n'), hint);
    assert.equal(lines.length, 1);
    // The cure.
    if (!bind) return;
    const cured = await start(t, { app: 'programs/self-requests.js', env: { ...one, AT, ...bind, PORT: AT } });
    assert.equal((await (await cured.ready()).get(path, { port: Number(AT) })).body, 'page with 200');
    assert.deepEqual(cured.logged('the app connects to itself'), []);
  });
}

function connects(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

async function read(port: number): Promise<string> {
  let text = '';
  for await (const chunk of net.connect(port, '127.0.0.1').setEncoding('utf8')) text += chunk;
  return text;
}

async function handshake(port: number): Promise<string> {
  const socket = net.connect(port, '127.0.0.1').setEncoding('utf8');
  socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
  let text = '';
  for await (const chunk of socket) text += chunk;
  return text;
}
