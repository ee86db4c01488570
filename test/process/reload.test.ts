import assert from 'node:assert/strict';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { watchCrowd } from '../support/crowd.ts';
import { Load } from '../support/load.ts';
import { start } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

test('six HUPs in ten seconds lose nothing', async (t) => {
  const server = await start(t, { app: 'basic.js', env: { TSUNICORN_ACCESS_LOG: 'off' } });
  await server.ready();
  const { port } = server;
  const loads = [
    new Load(t, { port, clients: 16, kind: 'keep-alive' }),
    new Load(t, { port, clients: 8, kind: 'short' }),
    new Load(t, { port, clients: 4, kind: 'short', path: '/slow?ms=200' }),
  ];
  const crowd = watchCrowd(t, server);
  let last: number[] = [];
  for (let i = 0; i < 6; i++) {
    last = server.workerPids();
    server.signal('SIGHUP');
    if (i < 5) await sleep(1_600); // the rhythm of six in ten seconds
  }
  await waitFor(
    'two workers are left, both newer than the last HUP',
    () => server.workerPids().length === 2 && !server.workerPids().some((pid) => last.includes(pid)),
    { seconds: 30, state: () => server.stderr.slice(-3000) },
  );
  const { most, fewestReady } = await crowd();
  for (const result of await Promise.all(loads.map((load) => load.stop()))) assert.deepEqual(result.failures, {});
  assert.ok(most <= 3, `${most} workers at once: one surplus is the most`);
  assert.equal(fewestReady, 2);
  assert.equal((await server.admin('/readyz')).status, 200);
  assert.ok((await server.metric('tsunicorn_worker_restarts_total{reason="reload"}')) >= 2);
  assert.ok(server.logged('worker drains: a newer worker took over').length >= 2);
  assert.equal(await server.stop(), 0);
});

test('a broken release is refused at HUP while the old generation serves; a good one is taken', async (t) => {
  const server = await start(t, { env: { TSUNICORN_APP: 'app.mjs' } });
  const app = join(server.directory, 'app.mjs');
  const release = (text: string) => writeFileSync(app, `export default (q, s) => s.end(${JSON.stringify(text)});`);
  release('one');
  await server.ready();
  const load = new Load(t, { port: server.port, clients: 4, kind: 'short' });

  writeFileSync(app, 'export default (q, s) => s.end("two"');
  server.signal('SIGHUP');
  const line = await server.untilLogged('the reload is given up');
  assert.match(line.msg, /app\.mjs cannot be imported/);
  assert.equal((await server.get('/')).body, 'one');
  assert.equal((await server.admin('/readyz')).status, 200);

  writeFileSync(app, 'throw new Error("no database")');
  server.signal('SIGHUP');
  const second = await server.untilLogged('the reload is given up', 2);
  assert.match(second.msg, /no database/);
  assert.ok(server.log.some(({ err }) => String((err as { stack?: string })?.stack).includes('app.mjs')));
  assert.equal((await server.get('/')).body, 'one');

  assert.equal(await server.metric('tsunicorn_worker_restarts_total{reason="boot"}'), 2);

  release('three');
  server.signal('SIGHUP');
  await waitFor('the new release serves alone', async () => {
    const answers = await Promise.all(Array.from({ length: 8 }, () => server.get('/')));
    return answers.every(({ body }) => body === 'three');
  });
  assert.deepEqual((await load.stop()).failures, {});
  assert.equal(await server.stop(), 0);
});

test('a release that mends one whose boot hangs does not wait for it', async (t) => {
  const env = { TSUNICORN_APP: 'app.mjs', TSUNICORN_WORKERS: '1', TSUNICORN_BOOT_TIMEOUT: '3600' };
  const server = await start(t, { env });
  const app = join(server.directory, 'app.mjs');
  writeFileSync(app, `export default (q, s) => s.end('one');`);
  await server.ready();
  writeFileSync(app, 'console.error("it hangs"); setInterval(() => {}, 1000); await new Promise(() => {});');
  server.signal('SIGHUP');
  await waitFor('it boots', () => server.stderr.includes('it hangs'));
  writeFileSync(app, `export default (q, s) => s.end('two');`);
  server.signal('SIGHUP');
  await waitFor('the mended one serves', async () => (await server.get('/')).body === 'two', { seconds: 30 });
  assert.equal(server.logged('a newer release was requested').length, 1);
  assert.deepEqual(server.logged('given up'), []);
  assert.equal(await server.stop(), 0);
});

test('a release that dies right after it is ready is given up, and the old one serves on', async (t) => {
  const env = { TSUNICORN_APP: 'app.mjs', TSUNICORN_WORKERS: '4', TSUNICORN_ACCESS_LOG: 'off' };
  const server = await start(t, { env });
  const app = join(server.directory, 'app.mjs');
  const release = (text: string) => `export default (q, s) => s.end(${JSON.stringify(text)});`;
  writeFileSync(app, release('one'));
  await server.ready();
  const old = server.workerPids();
  const crowd = watchCrowd(t, server);
  const loads = [
    new Load(t, { port: server.port, clients: 4, kind: 'short' }),
    new Load(t, { port: server.port, clients: 8, kind: 'keep-alive', tellLast: true }),
  ];

  writeFileSync(app, `setTimeout(() => { throw new Error("no such table") }, 200); ${release('two')}`);
  server.signal('SIGHUP');
  const line = await server.untilLogged('the reload is given up');
  assert.match(line.msg, /5 new workers in a row died within 5 s of readiness, the last: .*no such table/);
  const [slower, ...more] = server.logged('a new worker died within 5 s of readiness');
  assert.match(slower?.msg ?? '', /no such table.*: each old worker now serves until/);
  assert.deepEqual(more, []);
  // The missing one is tried again, ever more seldom.
  await server.untilLogged('is ready', 4 + 5 + 2);
  assert.ok((await server.metric('tsunicorn_worker_restarts_total{reason="crash"}')) >= 5);
  const { most, fewestReady } = await crowd();
  // A busy machine may be late to hear of the first death, by the boot of another.
  assert.ok(fewestReady >= 2 && old.filter((pid) => server.workerPids().includes(pid)).length >= 2, `${fewestReady}`);
  assert.ok(most <= 6, `${most} processes`); // those that broke finish their other requests
  assert.equal((await server.admin('/readyz')).status, 200);
  const causes = (await Promise.all(loads.map((load) => load.stop()))).flatMap(({ failures }) => Object.keys(failures));
  // A worker that broke closes what it has just accepted and not read; it is of the release.
  const theirs = /^closed without an answer( after (two|nothing))?$/;
  assert.deepEqual(
    causes.filter((cause) => !theirs.test(cause)),
    [],
  );

  writeFileSync(app, release('three'));
  server.signal('SIGHUP');
  await waitFor('the mended release serves alone', async () => {
    const answers = await Promise.all(Array.from({ length: 12 }, () => server.get('/')));
    return answers.every(({ body }) => body === 'three');
  });
  assert.equal(await server.stop(), 0);
});

test('TTOU while the worker that stays boots: the other one serves until it is ready', async (t) => {
  const server = await start(t, { env: { TSUNICORN_APP: 'app.mjs', TSUNICORN_ACCESS_LOG: 'off' } });
  const slow = 'await new Promise((r) => setTimeout(r, 1_000)); export default (q, s) => s.end("ok");';
  writeFileSync(join(server.directory, 'app.mjs'), slow);
  await server.ready();
  await server.untilLogged('is ready', 2);
  const first = server.logged('is ready').find(({ worker }) => worker === 0);
  const crowd = watchCrowd(t, server);
  process.kill(Number(first?.workerPid), 'SIGKILL');
  await server.untilLogged('worker ended');
  server.signal('SIGTTOU');
  await server.untilLogged('worker drains: fewer workers are wanted');
  const drained = server.log.findIndex(({ msg }) => msg.includes('worker drains'));
  assert.equal(server.log.slice(0, drained).filter(({ msg }) => msg.includes('is ready')).length, 3);
  assert.equal((await crowd()).fewestReady, 1);
  await waitFor('one worker is left', () => server.workerPids().length === 1);
  assert.equal(await server.metric('tsunicorn_worker_restarts_total{reason="resize"}'), 1);
  assert.equal(await server.stop(), 0);
});

test('TTIN and TTOU add and remove a worker without losing a request; HUP goes back to the setting', async (t) => {
  const server = await (await start(t, { app: 'basic.js', env: { TSUNICORN_ACCESS_LOG: 'off' } })).ready();
  const loads = [
    new Load(t, { port: server.port, clients: 8, kind: 'short' }),
    new Load(t, { port: server.port, clients: 8, kind: 'keep-alive' }),
  ];
  const workers = (n: number) => waitFor(`${n} workers`, () => server.workerPids().length === n);
  server.signal('SIGTTIN');
  await workers(3);
  await server.untilLogged('is ready', 3);
  server.signal('SIGTTOU');
  await workers(2);
  server.signal('SIGTTOU');
  await workers(1);
  server.signal('SIGTTOU'); // never below one
  await server.untilLogged('received SIGTTOU', 3);
  await workers(1);
  server.signal('SIGHUP');
  await workers(2);
  await server.untilLogged('is ready', 5);
  for (const result of await Promise.all(loads.map((load) => load.stop()))) assert.deepEqual(result.failures, {});
  assert.equal(await server.stop(), 0);
});

test('WINCH drains the workers and keeps the arbiter; HUP starts them again', async (t) => {
  const server = await (await start(t, { app: 'basic.js' })).ready();
  server.signal('SIGWINCH');
  await waitFor('no workers', () => server.workerPids().length === 0);
  assert.equal((await server.admin('/livez')).status, 200);
  assert.equal((await server.admin('/readyz')).status, 503);
  const waiting = server.get('/'); // the socket is still held, so this waits in its accept queue
  server.signal('SIGHUP');
  assert.equal((await waiting).body, 'hello');
  await server.ready();
  assert.equal(await server.stop(), 0);
});

test('USR1 reopens the log files', async (t) => {
  const server = await start(t, {
    app: 'basic.js',
    env: { TSUNICORN_ACCESS_LOG: 'access.log', TSUNICORN_ERROR_LOG: 'error.log' },
  });
  await server.ready();
  const file = (name: string) => join(server.directory, name);
  await server.get('/?before');
  await waitFor('the line is written', () => readFileSync(file('access.log'), 'utf8').includes('before'));
  renameSync(file('access.log'), file('access.1'));
  renameSync(file('error.log'), file('error.1'));
  server.signal('SIGUSR1');
  await waitFor('new files', () => existsSync(file('access.log')) && existsSync(file('error.log')));
  await server.get('/?after');
  assert.equal(await server.stop(), 0);
  assert.match(readFileSync(file('access.log'), 'utf8'), /after/);
  assert.doesNotMatch(readFileSync(file('access.1'), 'utf8'), /after/);
  assert.match(readFileSync(file('error.log'), 'utf8'), /stopped as asked/);
});

test('USR2 reports the status in the log', async (t) => {
  const server = await (await start(t, { app: 'basic.js' })).ready();
  server.signal('SIGUSR2');
  const report = await server.untilLogged('status report');
  const workers = report.workers as { workerPid: number; state: string }[];
  assert.deepEqual(workers.map(({ workerPid }) => workerPid).sort(), server.workerPids().sort());
  assert.ok(workers.every(({ state }) => state === 'ready'));
});

test('TERM to a worker replaces it before it drains', async (t) => {
  const server = await (await start(t, { app: 'basic.js', env: { TSUNICORN_WORKERS: '1' } })).ready();
  const load = new Load(t, { port: server.port, clients: 8, kind: 'short' });
  const [old = 0] = server.workerPids();
  process.kill(old, 'SIGTERM');
  await waitFor('another worker', () => server.workerPids().length === 1 && !server.workerPids().includes(old));
  assert.deepEqual((await load.stop()).failures, {});
  assert.equal(await server.stop(), 0);
});
