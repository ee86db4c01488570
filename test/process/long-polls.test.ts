/** Clients in Engine.IO's long polls are told that their worker leaves, before its successor accepts. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type Answer, start, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const poll = (server: TestServer, session: string, version = 4): Promise<Answer> =>
  server.get(`/socket.io/?EIO=${version}&transport=polling&sid=${session}`);

const message = (server: TestServer, session: string, ms: number): Promise<Answer> =>
  server.get(`/socket.io/?EIO=4&transport=polling&sid=${session}&ms=${ms}`, { method: 'POST' });

async function inFlight(server: TestServer, count: number): Promise<void> {
  await waitFor(`${count} requests in flight`, async () => {
    const { workers } = JSON.parse((await server.admin('/status')).body);
    return workers.some((worker: { inFlight: number }) => worker.inFlight === count);
  });
}

async function started(t: TestContext, level = 'info'): Promise<TestServer> {
  const env = { TSUNICORN_WORKERS: '1', TSUNICORN_GRACEFUL_TIMEOUT: '10', TSUNICORN_LOG_LEVEL: level };
  return (await start(t, { app: 'long-polls.js', env })).ready();
}

for (const signal of ['SIGHUP', 'SIGTERM'] as const) {
  test(`${signal}: polls that wait are closed in the protocol's own words, and hold up nothing`, async (t) => {
    const server = await started(t);
    const polls = [poll(server, 'a'), poll(server, 'b'), poll(server, 'c', 3)];
    await inFlight(server, 3);
    const at = performance.now();
    server.signal(signal);
    const answers = await Promise.all(polls);
    assert.deepEqual(
      answers.map(({ status, body }) => [status, body]),
      [
        [200, '1'],
        [200, '1'],
        [200, '1:1'],
      ],
    );
    for (const { headers } of answers) {
      assert.equal(headers['access-control-allow-origin'], '*', 'what the app has set stays');
      assert.equal(headers.connection, 'close');
    }
    await server.untilLogged('worker ended: exit code 0');
    assert.ok(performance.now() - at < 8_000, 'before the graceful timeout');
    assert.equal(server.stdout.split('poll closed').length - 1, 3, 'the app sees that its clients have gone');
    if (signal === 'SIGHUP') assert.equal(await server.stop(), 0);
    assert.deepEqual(
      server.log.filter(({ level }) => level !== 'info'),
      [],
    );
  });
}

test('the successor accepts when the sessions have been closed; until then all requests reach the old worker', async (t) => {
  const server = await started(t, 'debug');
  const first = poll(server, 'a');
  await inFlight(server, 1);
  await server.untilLogged('wait in long polls');
  const old = (await server.get('/pid')).body;
  const seen: string[] = [];
  let over = false;
  const asking = (async () => {
    while (!over) seen.push((await server.get('/pid')).body);
  })();
  server.signal('SIGHUP');
  await waitFor('the successor is ready', () => server.logged('worker is ready').length === 2);
  const posts = [message(server, 'a', 700)];
  assert.equal((await first).body, '1');
  await Promise.all(posts);
  await waitFor('the successor answers', () => seen.at(-1) !== old);
  over = true;
  await asking;
  const change = seen.findIndex((pid) => pid !== old);
  assert.ok(
    seen.slice(change).every((pid) => pid !== old),
    'no request reached the old worker after the new one accepted',
  );
  assert.equal(await server.stop(), 0);
});

for (const end of ['is stuck', 'dies'] as const) {
  test(`a predecessor that ${end} does not keep its successor waiting for long`, async (t) => {
    const server = await started(t, 'debug');
    poll(server, 'a').catch(() => undefined);
    await server.untilLogged('wait in long polls');
    const [old = 0] = server.workerPids();
    process.kill(old, 'SIGSTOP'); // it cannot say that it has stopped accepting
    server.signal('SIGHUP');
    await server.untilLogged('worker is ready', 2);
    const readyAt = performance.now();
    if (end === 'dies') process.kill(old, 'SIGKILL');
    const { body } = await server.get('/pid');
    assert.notEqual(Number(body), old);
    const waited = performance.now() - readyAt;
    assert.ok(end === 'is stuck' || waited < 2_500, `${waited} ms`);
    if (end === 'is stuck') process.kill(old, 'SIGKILL');
    assert.equal(await server.stop(), 0);
  });
}
