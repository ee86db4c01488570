import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CPU_V1, CpuGroup, NEEDS } from '../support/cpu-group.ts';
import { start } from '../support/server.ts';

for (const [cores, workers] of [
  [0.5, 1],
  [1, 1],
  [1.5, 2],
  [2, 2],
] as const) {
  test(`a real CPU quota of ${cores} makes ${workers} worker(s)`, async (t) => {
    const group = CpuGroup.make(t, cores);
    if (!group) return t.skip(NEEDS);
    const { wrapper } = group;
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
