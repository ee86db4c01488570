/** broadcast() and onMessage(): what workers say to each other. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { type Answer, isRunning, request, type StartOptions, start, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

interface Seen {
  readonly worker: { slot: number; id: number };
  readonly seen: readonly { from: { slot: number; id: number }; message: string }[];
  readonly series: Readonly<Record<string, { count: number; last: number; inOrder: boolean }>>;
}

/** A socket a slot, so that a test can choose the worker. */
class Crowd {
  readonly server: TestServer;

  constructor(server: TestServer) {
    this.server = server;
  }

  ask(slot: number, path: string, of: unknown = ''): Promise<Answer> {
    const text = typeof of === 'string' ? of : JSON.stringify(of);
    const socketPath = `${this.server.directory}/app-${slot}.sock`;
    return request({ socketPath, path: `${path}?of=${encodeURIComponent(text)}` });
  }

  async seen(slot: number): Promise<Seen> {
    return JSON.parse((await this.ask(slot, '/seen')).body);
  }

  async untilSeen(slot: number, what: string, condition: (seen: Seen) => boolean, seconds = 60): Promise<Seen> {
    let last: Seen | undefined;
    return await waitFor(
      `${what} in slot ${slot}`,
      async () => {
        last = await this.seen(slot);
        return condition(last) && last;
      },
      { seconds, state: () => last },
    );
  }

  /** Of the worker that is in this slot. */
  async pid(slot: number): Promise<number> {
    const { workers } = JSON.parse((await this.server.admin('/status')).body);
    return workers.find((worker: { slot: number }) => worker.slot === slot).pid;
  }
}

async function crowd(t: Parameters<typeof start>[0], workers: number, env: StartOptions['env'] = {}): Promise<Crowd> {
  const server = await start(t, {
    app: 'messages.mjs',
    env: { TSUNICORN_BIND: 'unix:app-{slot}.sock', TSUNICORN_WORKERS: String(workers), ...env },
  });
  return new Crowd(await server.ready());
}

const rssOf = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;

test('every other worker gets a message as it was, and knows whose it is', async (t) => {
  const all = await crowd(t, 3);
  for (const sample of ['values', 'circle', 'hello']) assert.equal((await all.ask(1, '/send', sample)).body, 'sent');
  for (const slot of [0, 2]) {
    const { seen } = await all.untilSeen(slot, 'three messages', (one) => one.seen.length === 3);
    assert.deepEqual(seen[0]?.from, { slot: 1, id: 2 });
    assert.match(seen[0]?.message ?? '', /Map\(1\) \{ \{ a: 1 \} => Set\(3\) \{ 1n, 0, undefined \} \}/);
    assert.match(
      seen[0]?.message ?? '',
      /date: 1970-01-01T00:00:00.000Z,\s+regexp: \/a\/g,\s+bytes: <Buffer 61 62 63>/,
    );
    assert.match(seen[0]?.message ?? '', /Float64Array\(2\) \[ 1.5, NaN \]/);
    assert.equal(seen[1]?.message, "<ref *1> { name: 'circle', self: [Circular *1] }");
    assert.equal(seen[2]?.message, "'hello'");
  }
  assert.equal((await all.seen(1)).seen.length, 0, 'not the sender itself');
});

test('a message that cannot be sent is an error of its sender', async (t) => {
  const all = await crowd(t, 2);
  for (const sample of ['function', 'symbol', 'promise']) {
    const { status, body } = await all.ask(0, '/send', sample);
    assert.equal(status, 500);
    assert.equal(JSON.parse(body).name, 'DataCloneError');
  }
  const { body } = await all.ask(0, '/send', 'huge');
  assert.equal(JSON.parse(body).code, 'ERR_TSUNICORN_MESSAGE_SIZE');
  assert.equal((await all.ask(0, '/send', 'large')).body, 'sent');
  const { seen } = await all.untilSeen(1, 'the large message', (one) => one.seen.length > 0);
  assert.equal(seen.length, 1);
  const unawaited = await all.ask(0, '/series', { count: 1000, bytes: 100_000, wait: false });
  assert.equal(JSON.parse(unawaited.body).code, 'ERR_TSUNICORN_MESSAGE_QUEUE');
});

test('nothing is lost or out of order between ready workers, however much they send, and the arbiter does not grow', async (t) => {
  const all = await crowd(t, 3);
  const count = 16_000;
  const slots = [0, 1, 2];
  const before = rssOf(all.server.pid);
  await Promise.all([
    ...slots.map((slot) => all.ask(slot, '/series', { count, bytes: 4_000 })),
    all.ask(1, '/block', '1500'), // slower than the others, and not silent: 3 s
  ]);
  for (const slot of slots) {
    const hasAll = ({ series }: Seen): boolean => Object.values(series).every((sender) => sender.count === count);
    const { series } = await all.untilSeen(slot, 'all messages of both others', hasAll, 60);
    assert.equal(Object.keys(series).length, 2);
    assert.ok(Object.values(series).every(({ inOrder }) => inOrder));
  }
  assert.deepEqual(all.server.logged('misses'), []);
  // V8 collects buffers once there are 64 MiB of them.
  assert.ok(rssOf(all.server.pid) - before < 100, `the arbiter grew from ${before} to ${rssOf(all.server.pid)} MiB`);
});

test('a stopped worker holds up nobody, and the arbiter keeps no more than 8 MiB for it', async (t) => {
  const all = await crowd(t, 3, { TSUNICORN_TIMEOUT: '0' });
  const stopped = await all.pid(2);
  const before = rssOf(all.server.pid);
  process.kill(stopped, 'SIGSTOP');
  t.after(() => isRunning(stopped) && process.kill(stopped, 'SIGCONT'));
  const count = 40_000; // 160 MB
  const answer = await all.ask(0, '/series', { count, bytes: 4_000 });
  assert.equal(answer.body, 'sent');
  const { series } = await all.untilSeen(1, 'all messages', (one) => one.series[1]?.count === count, 60);
  assert.ok(series[1]?.inOrder);
  assert.ok(rssOf(all.server.pid) - before < 100, `the arbiter grew from ${before} to ${rssOf(all.server.pid)} MiB`);
  await all.server.untilLogged('worker misses messages');
  process.kill(stopped, 'SIGCONT');
  const line = await all.server.untilLogged(/worker missed \d+ messages/);
  const late = await all.untilSeen(2, 'the messages that waited', (one) => {
    return one.series[1]?.count === count - Number(line.messages);
  });
  assert.ok((late.series[1]?.count ?? 0) > 1_500, 'what fits into 8 MiB');
  // It is one of them again.
  await all.ask(1, '/send', 'hello');
  await all.untilSeen(2, 'a message after that', (one) => one.seen.length === 1);
});

test('a worker hears others from its boot until its end, and is heard to its last word', async (t) => {
  const all = await crowd(t, 2);
  await all.ask(0, '/last-words');
  await all.untilSeen(1, 'the last word of a worker that exits', (one) => one.series[1]?.count === 1);
  const { id } = (await all.untilSeen(0, 'a successor', (one) => one.worker.id > 2)).worker;
  await all.ask(1, '/send', 'hello');
  await all.untilSeen(0, 'a message to the successor', (one) => one.seen.length === 1);
  await all.ask(0, '/send', 'hello');
  const { seen } = await all.untilSeen(1, 'a message from it', (one) => one.seen.length === 1);
  assert.deepEqual(seen[0]?.from, { slot: 0, id });
});

test('a listener that throws ends its worker, as any uncaught exception', async (t) => {
  const all = await crowd(t, 2);
  await all.ask(0, '/send', 'throw');
  const line = await all.server.untilLogged('uncaughtException');
  assert.deepEqual([line.workerId, line.level], [2, 'fatal']);
  await all.untilSeen(1, 'a successor', (one) => one.worker.id > 2);
});

test('under plain node a message reaches nobody, and has the same errors', () => {
  const script = `
    import { broadcast, onMessage } from ${JSON.stringify(new URL('../../dist/public.js', import.meta.url).href)};
    const end = onMessage(() => console.log('heard'));
    await broadcast({ a: 1n });
    try { broadcast(() => {}); } catch (error) { console.log(error.name); }
    end();`;
  const text = execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  assert.equal(text, 'DataCloneError\n');
});
