/** Who a worker is, as the app sees it: in its environment, and by the package. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { MAIN, start, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const APP = new URL('../fixtures/apps/identity.mjs', import.meta.url).pathname;

interface Identity {
  readonly slot: number;
  readonly id: number;
  readonly generation: number;
}

interface Seen {
  readonly worker: Identity;
  readonly inThread: Identity;
  readonly instance: string | null;
  readonly attributes: string;
}

/** What each worker that serves now says of itself, in the order of slots. */
async function everyWorker(server: TestServer, serves: (seen: Seen) => boolean = () => true): Promise<Seen[]> {
  const bySlot = new Map<number, Seen>();
  return await waitFor('each of two workers has answered', async () => {
    const seen: Seen = JSON.parse((await server.get('/')).body);
    if (serves(seen)) bySlot.set(seen.worker.slot, seen);
    return bySlot.size === 2 && [0, 1].flatMap((slot) => bySlot.get(slot) ?? []);
  });
}

test('a worker knows its slot, its id and its generation', async (t) => {
  const env = { TSUNICORN_INSTANCE_VAR: 'NODE_APP_INSTANCE', OTEL_RESOURCE_ATTRIBUTES: 'service.name=shop' };
  const server = await (await start(t, { app: APP, env })).ready();
  const first = await everyWorker(server);
  assert.deepEqual(first.map(({ worker }) => worker.slot).sort(), [0, 1]);
  assert.deepEqual(first.map(({ worker }) => worker.id).sort(), [1, 2]);
  for (const { worker, inThread, instance, attributes } of first) {
    assert.equal(worker.generation, 1);
    assert.deepEqual(inThread, worker);
    assert.equal(instance, String(worker.slot));
    assert.match(attributes, /^service\.name=shop,service\.instance\.id=[0-9a-f-]{36}$/);
  }
  server.signal('SIGHUP');
  const second = await everyWorker(server, ({ worker }) => worker.generation === 2);
  assert.deepEqual(second.map(({ worker }) => worker.id).sort(), [3, 4]);
  assert.equal(new Set([...first, ...second].map(({ attributes }) => attributes)).size, 4);
  // "Only in instance 0", as under pm2.
  const loaded = server.stdout.match(/^instance 0 of \d$/gm) ?? [];
  assert.equal(loaded.length, 2, 'one in each generation');
});

test('a program that a worker starts may be tsunicorn again', async (t) => {
  const server = await (await start(t, { app: APP })).ready();
  const { body } = await server.get('/nested');
  assert.match(body, /^ok: .+ can be served\n$/);
});

test('under plain node there is one worker', () => {
  const text = execFileSync(process.execPath, [join(APP, '..', 'identity-alone.mjs')], { encoding: 'utf8', env: {} });
  assert.deepEqual(JSON.parse(text), { slot: 0, id: 1, generation: 1 });
});

test('tsunicorn check loads the app as its first worker would', () => {
  const text = execFileSync(process.execPath, [MAIN, 'check'], {
    encoding: 'utf8',
    env: { TSUNICORN_APP: join(APP, '..', 'identity.mjs'), TSUNICORN_INSTANCE_VAR: 'NODE_APP_INSTANCE' },
  });
  assert.match(text, /^instance 0 of 1$/m);
});
