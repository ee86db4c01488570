import assert from 'node:assert/strict';
import { mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { start } from '../support/server.ts';

/** Children of this group are made and removed here; the `memory` hierarchy is never touched. */
const CPU_V1 = '/sys/fs/cgroup/cpu';

function makeGroup(t: { after(fn: () => unknown): void }): string | undefined {
  const group = join(CPU_V1, `tsunicorn-test-${process.pid}-${Date.now()}`);
  try {
    mkdirSync(group);
    writeFileSync(join(group, 'cpu.cfs_period_us'), '100000');
  } catch {
    return undefined;
  }
  t.after(() => {
    rmdirSync(group);
  });
  return group;
}

for (const [cores, workers] of [
  [0.5, 1],
  [1, 1],
  [1.5, 2],
  [2, 2],
] as const) {
  test(`a real CPU quota of ${cores} makes ${workers} worker(s)`, async (t) => {
    const group = makeGroup(t);
    if (!group) return t.skip(`needs root and a writable cgroup v1 cpu hierarchy at ${CPU_V1}`);
    writeFileSync(join(group, 'cpu.cfs_quota_us'), String(cores * 100_000));
    // The shell enters the group and becomes the server.
    const wrapper = ['sh', '-c', `echo $$ > ${group}/cgroup.procs && exec "$@"`, 'sh'];
    const server = await start(t, { app: 'basic.js', wrapper, env: { TSUNICORN_WORKERS: undefined } });
    await server.ready();
    assert.equal(server.workerPids().length, workers);
    const [line] = server.logged(`${workers} worker`);
    assert.match(line?.msg ?? '', new RegExp(`quota ${cores} from ${CPU_V1}/\\S*cpu\\.cfs_quota_us`));
    assert.equal(await server.stop(), 0);
  });
}

test('without a quota a warning says how to set one', async (t) => {
  const server = await (
    await start(t, { app: 'basic.js', env: { TSUNICORN_WORKERS: undefined, TSUNICORN_MAX_WORKERS: '1' } })
  ).ready();
  assert.equal(server.logged(/^no CPU quota.*--cpus/).length, 1);
  assert.equal(server.workerPids().length, 1);
});

test('the heap limit reaches the workers; flags of the user win', async (t) => {
  const heap = async (env: Record<string, string>) => {
    const server = await (await start(t, { app: 'flags.js', env: { TSUNICORN_WORKERS: '1', ...env } })).ready();
    const { body } = await server.get('/');
    await server.stop();
    return JSON.parse(body);
  };
  assert.deepEqual((await heap({ TSUNICORN_WORKER_HEAP: '96MiB' })).execArgv, ['--max-old-space-size=96']);
  const both = await heap({
    TSUNICORN_WORKER_HEAP: '96MiB',
    TSUNICORN_NODE_OPTIONS: '--max-old-space-size=64 --enable-source-maps',
  });
  assert.deepEqual(both.execArgv, ['--max-old-space-size=96', '--max-old-space-size=64', '--enable-source-maps']);
});
