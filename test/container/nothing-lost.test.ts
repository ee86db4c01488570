/** What a client sees through nginx while workers are replaced, stopped and killed under load: nothing. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { request } from '../support/server.ts';
import { Gets, posts } from './support/clients.ts';
import { behindNginx, type Front } from './support/front.ts';
import { skipReason } from './support/machine.ts';

const slow = ({ port }: Front, ms: number) => request({ host: '127.0.0.1', port, path: `/slow?ms=${ms}` });

/** What nginx said about failures of the app, for the message of an assertion. */
const said = async ({ nginx }: Front) =>
  (await nginx.logs())
    .split('\n')
    .filter((line) => line.includes('[error]') || line.includes('[crit]'))
    .slice(0, 10)
    .join('\n');

suite('behind nginx under load', { skip: skipReason() }, () => {
  test('10,000 requests over rolling reloads: 0 failed', async (t) => {
    const front = await behindNginx(t);
    const gets = new Gets(t, front.port);
    const stopPosts = posts(t, front.port);
    let reloads = 0;
    while (gets.ok < 10_000 || reloads < 3) {
      await front.app.signal('HUP');
      await front.app.untilLogged('worker ended', ++reloads * 2);
      await gets.until(Math.min(10_000, reloads * 3_000));
      if (Object.keys(gets.failures).length > 0) break;
    }
    assert.deepEqual(await stopPosts(), [], await said(front));
    assert.deepEqual(await gets.stop(), {}, await said(front));
    assert.ok(gets.ok >= 10_000);
  });

  test('a worker that is killed costs no GET', async (t) => {
    const front = await behindNginx(t);
    const gets = new Gets(t, front.port);
    for (let round = 1; round <= 6; round++) {
      await gets.until(gets.ok + 500);
      const [victim] = await front.app.workers();
      await front.app.exec('sh', '-c', `kill -KILL ${victim}`);
      await front.app.untilLogged('worker is ready', 2 + round);
    }
    assert.deepEqual(await gets.stop(), {}, await said(front));
  });

  test('with a single worker neither: the GET waits for its successor', async (t) => {
    const front = await behindNginx(t, { appEnv: { TSUNICORN_WORKERS: '1' } });
    const answer = await request({ host: '127.0.0.1', port: front.port, path: '/die?once' });
    assert.deepEqual([answer.status, answer.body], [200, 'survived']);
  });

  test('a POST is never repeated, whatever becomes of its worker', async (t) => {
    const front = await behindNginx(t);
    const options = { host: '127.0.0.1', port: front.port };
    const post = await request({ ...options, path: '/die', method: 'POST', body: 'once' });
    assert.equal(post.status, 502);
    await front.app.untilLogged('worker is ready', 3);
    const { body } = await request({ ...options, path: '/deaths' });
    assert.equal(JSON.parse(body).deaths, 1);
  });

  test('a GET that kills every worker it meets is given up, and the workers come back', async (t) => {
    const front = await behindNginx(t);
    const options = { host: '127.0.0.1', port: front.port };
    assert.equal((await request({ ...options, path: '/die' })).status, 502);
    const { body } = await request({ ...options, path: '/deaths' });
    const { deaths } = JSON.parse(body);
    assert.ok(deaths >= 2 && deaths <= 4, `${deaths} deaths`); // each once, then two tries on new connections
  });

  test('docker stop: what has begun is finished, and nginx answers for what comes too late', async (t) => {
    const front = await behindNginx(t);
    const gets = new Gets(t, front.port);
    await gets.until(300);
    const begun = Array.from({ length: 4 }, () => slow(front, 2_000));
    await sleep(500);
    assert.equal(await front.app.stop(), 0);
    const answers = await Promise.all(begun);
    assert.deepEqual(
      answers.map(({ status, body }) => [status, body]),
      answers.map(() => [200, 'slow']),
    );
    const failures = await gets.stop();
    assert.deepEqual(
      Object.keys(failures).filter((cause) => cause !== 'status 502'),
      [],
    );
  });

  test('docker stop of one of two containers: 0 failed', async (t) => {
    const front = await behindNginx(t, { apps: ['a', 'b'] });
    const gets = new Gets(t, front.port);
    const stopPosts = posts(t, front.port);
    await gets.until(1_000);
    const begun = [slow(front, 2_000), slow(front, 2_000)];
    await sleep(300);
    assert.equal(await front.app.stop(), 0);
    await gets.until(gets.ok + 1_000);
    for (const { status } of await Promise.all(begun)) assert.equal(status, 200);
    assert.deepEqual(await stopPosts(), [], await said(front));
    assert.deepEqual(await gets.stop(), {}, await said(front));
  });
});
