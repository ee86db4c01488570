import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { test } from 'node:test';
import { PATIENCE_MS, Reports } from '../../src/arbiter/metrics/scrape.ts';

const PLACES = 4;
/** On two cores. */
const reportsAt = (now: () => number) => new Reports({ cpus: () => 2, now });

/** Workers by workerId: each asks into `asked`. */
function workers(asked: [workerId: number, serial: number][], ...ids: number[]) {
  return ids.map((workerId) => ({ workerId, ask: (serial: number) => void asked.push([workerId, serial]) }));
}

test('all are asked, and the round ends with the last answer', async () => {
  const reports = reportsAt(() => performance.now());
  const asked: [number, number][] = [];
  const from = performance.now();
  let done = false;
  const round = reports.collect(workers(asked, 1, 2)).then(() => {
    done = true;
  });
  assert.deepEqual(asked, [
    [1, 1],
    [2, 1],
  ]);
  reports.answered(1, 1);
  reports.answered(1, 1);
  await new Promise(setImmediate);
  assert.equal(done, false);
  reports.answered(2, 1);
  await round;
  assert.ok(performance.now() - from < PATIENCE_MS);
});

test('a round without workers ends at once', async () => {
  const from = performance.now();
  await reportsAt(() => performance.now()).collect([]);
  assert.ok(performance.now() - from < PATIENCE_MS);
});

test('a silent worker is waited for only so long, and by the next round not at all until it answers', async () => {
  const reports = reportsAt(() => performance.now());
  const asked: [number, number][] = [];
  const round = async (serial: number): Promise<number> => {
    const from = performance.now();
    const done = reports.collect(workers(asked, 1, 2));
    reports.answered(1, serial);
    await done;
    return performance.now() - from;
  };
  const first = await round(1);
  assert.ok(first >= PATIENCE_MS - 2 && first < 2 * PATIENCE_MS, String(first));
  assert.ok((await round(2)) < PATIENCE_MS / 2);
  assert.deepEqual(asked.at(-1), [2, 2], 'it is asked all the same');
  reports.answered(2, 1); // late, of a round that is over
  reports.heard(2);
  assert.ok((await round(3)) >= PATIENCE_MS - 2);
});

test('a worker that exits is not waited for', async () => {
  const reports = reportsAt(() => performance.now());
  const from = performance.now();
  const round = reports.collect(workers([], 1, 2));
  reports.answered(1, 1);
  reports.gone(2);
  await round;
  assert.ok(performance.now() - from < PATIENCE_MS);
});

test('two scrapes at once share a round, and the next has one of its own', async () => {
  const reports = reportsAt(() => performance.now());
  const asked: [number, number][] = [];
  const both = [reports.collect(workers(asked, 1)), reports.collect(workers(asked, 1))];
  reports.answered(1, 1);
  await Promise.all(both);
  const next = reports.collect(workers(asked, 1));
  reports.answered(1, 2);
  await next;
  assert.deepEqual(asked, [
    [1, 1],
    [1, 2],
  ]);
});

const MANY = Array.from({ length: 64 }, (_, i) => i + 1);

test('so many are asked at a time, and the next with each answer', async () => {
  const reports = reportsAt(() => performance.now());
  const asked: [number, number][] = [];
  const round = reports.collect(workers(asked, ...MANY));
  assert.equal(asked.length, PLACES);
  reports.answered(2, 0); // of another round
  assert.equal(asked.length, PLACES);
  for (const workerId of MANY) {
    reports.answered(workerId, 1);
    assert.equal(asked.length, Math.min(PLACES + workerId, MANY.length));
  }
  await round;
  assert.deepEqual(
    asked.map(([workerId]) => workerId),
    MANY,
  );
});

test('where answers do not come, the others are asked all the same within 200 ms', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
  let now = 0;
  const pass = async (ms: number): Promise<void> => {
    now += ms;
    t.mock.timers.tick(ms);
    await new Promise(setImmediate);
  };
  const reports = reportsAt(() => now);
  const asked: [number, number][] = [];
  let done = false;
  const round = reports.collect(workers(asked, ...MANY)).then(() => {
    done = true;
  });
  const seen: number[] = [];
  while (now < 200) {
    await pass(25);
    seen.push(asked.length);
  }
  assert.deepEqual(seen, [4, 4, 4, 4, 16, 32, 48, 64]);
  for (const workerId of MANY.slice(PLACES)) reports.answered(workerId, 1);
  await pass(PATIENCE_MS - now - 1);
  assert.equal(done, false);
  await pass(1);
  await round;

  const before = asked.length;
  const next = reports.collect(workers(asked, ...MANY));
  const silent = MANY.slice(0, PLACES);
  const first = MANY.slice(PLACES, 2 * PLACES);
  assert.deepEqual(
    new Set(asked.slice(before).map(([workerId]) => workerId)),
    new Set([...silent, ...first]),
    'the silent ones beside the others',
  );
  for (const workerId of MANY.slice(PLACES)) reports.answered(workerId, 2);
  await next;
});

test('a worker that ends before its turn is not asked', async () => {
  const reports = reportsAt(() => performance.now());
  const asked: [number, number][] = [];
  const round = reports.collect(workers(asked, ...MANY));
  reports.gone(MANY.length);
  for (const workerId of MANY) reports.answered(workerId, 1);
  await round;
  assert.deepEqual(
    asked.map(([workerId]) => workerId),
    MANY.slice(0, -1),
  );
});

test('answers that came during a long turn of the loop are read before others are asked', async (t) => {
  const server = net.createServer().listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const socket = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
  t.after(() => socket.destroy());
  const [theirs] = (await once(server, 'connection')) as [net.Socket];
  t.after(() => theirs.destroy());

  let now = 0;
  const reports = reportsAt(() => now);
  let out = 0;
  let most = 0;
  socket.on('data', (ids: Buffer) => {
    for (const workerId of ids) {
      out--;
      reports.answered(workerId, 1);
    }
  });
  const ask = (workerId: number): void => {
    most = Math.max(most, ++out);
    theirs.write(Uint8Array.of(workerId)); // is with the kernel at once
  };
  const round = reports.collect(MANY.map((workerId) => ({ workerId, ask: () => ask(workerId) })));
  const from = performance.now();
  while (performance.now() - from < 20);
  now = 109; // six are due
  await round;
  assert.equal(most, PLACES);
});

for (const { cpus, places } of [
  { cpus: 0.2, places: 2 },
  { cpus: 1.2, places: 3 },
  { cpus: 40, places: 64 },
]) {
  test(`with ${cpus} CPUs ${places} workers are asked at a time`, async () => {
    const reports = new Reports({ cpus: () => cpus, now: () => 0 });
    const asked: [number, number][] = [];
    const round = reports.collect(workers(asked, ...MANY));
    assert.equal(asked.length, places);
    for (const workerId of MANY) reports.answered(workerId, 1);
    await round;
  });
}
