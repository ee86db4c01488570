/** The image under a real cgroup v2 kernel: CPU and memory limits become workers and heaps (contract, section 4). */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, suite, test } from 'node:test';
import { DIRECTORY, must, ROOT, skipReason } from './support/machine.ts';
import { IMAGE, podman, tryPodman } from './support/podman.ts';

const MIB = 1024 * 1024;

interface Case {
  readonly name: string;
  /** Cores. The guest has one CPU, so more workers come from TSUNICORN_WORKERS_PER_CPU. */
  readonly cpu?: number;
  /** MiB. */
  readonly memory?: number;
  readonly env?: readonly string[];
  /** Undefined where the limits decide nothing. */
  readonly heap: string | undefined;
  /** Resident size above which a worker is recycled. */
  readonly rss?: string;
  readonly workers: string;
}

const CASES: readonly Case[] = [
  { name: 'cpu-1', cpu: 1, workers: '1', heap: undefined },
  { name: 'cpu-half', cpu: 0.5, env: ['TSUNICORN_WORKERS_PER_CPU=4'], workers: '2', heap: undefined },
  // 0.75 × (256 − 64) = 144; 0.9 × (256 − 64) = 172.8
  { name: 'memory', cpu: 1, memory: 256, workers: '1', heap: '144MiB', rss: '172MiB' },
  // ceil(4 − 0.1) = 4 are asked for; (0.9 × 512 − 64) ÷ 128 = 3.1 have room; 0.75 × (512 − 64) ÷ 3 = 112;
  // 0.9 × (512 − 64) ÷ 3 = 134, below the least
  {
    name: 'memory-bound',
    cpu: 1,
    memory: 512,
    env: ['TSUNICORN_WORKERS_PER_CPU=4'],
    workers: '3',
    heap: '112MiB',
    rss: '160MiB',
  },
];

/** What crun wants, from its own default. */
function bundle(spec: string, name: string, { cpu, memory, env = [] }: Partial<Case>, args: readonly string[]): string {
  const config = JSON.parse(spec);
  const path = 'PATH=/usr/local/bin:/usr/bin:/bin';
  const capabilities = Object.fromEntries(Object.keys(config.process.capabilities).map((set) => [set, []]));
  Object.assign(config.process, {
    terminal: false,
    cwd: '/app',
    args,
    noNewPrivileges: true,
    rlimits: [],
    capabilities,
  });
  Object.assign(config.process, { user: { uid: 10001, gid: 10001 }, env: [path, 'TSUNICORN_LOG_FORMAT=json', ...env] });
  config.root = { path: 'rootfs', readonly: true };
  config.mounts.push({ destination: '/tmp', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'nodev'] });
  config.linux.resources = {
    ...(cpu && { cpu: { quota: cpu * 100_000, period: 100_000 } }),
    ...(memory && { memory: { limit: memory * MIB } }),
  };
  const others = config.linux.namespaces.filter(
    ({ type }: { type: string }) => type !== 'network' && type !== 'cgroup',
  );
  config.linux.namespaces = [...others, { type: 'cgroup' }];
  config.linux.cgroupsPath = `/${name}`;
  return JSON.stringify(config);
}

suite('under cgroup v2', { skip: skipReason() }, () => {
  const said = new Map<string, { text: string; exit: number }>();
  let console_ = '';

  before(async () => {
    const folder = join(DIRECTORY, 'cases');
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    await must('crun', ['spec'], { cwd: folder });
    const spec = await must('cat', [join(folder, 'config.json')]);
    rmSync(join(folder, 'config.json'));
    const node = ['node', '/opt/tsunicorn/dist/main.js'];
    for (const one of CASES) {
      writeFileSync(join(folder, `${one.name}.json`), bundle(spec, one.name, one, [...node, 'config', '--json']));
    }
    const served = { cpu: 0.5, memory: 256, env: ['TSUNICORN_WORKERS_PER_CPU=4', 'TSUNICORN_WORKER_MEMORY=64MiB'] };
    writeFileSync(join(folder, 'serve.json'), bundle(spec, 'serve', served, node));
    const resized = { cpu: 0.5, memory: 512, env: ['TSUNICORN_WORKERS_PER_CPU=3', 'TSUNICORN_RESIZE_INTERVAL=1'] };
    writeFileSync(join(folder, 'resize.json'), bundle(spec, 'resize', resized, node));
    const eats = { cpu: 1, memory: 256, env: ['TSUNICORN_WORKERS=1'] };
    writeFileSync(join(folder, 'eat.json'), bundle(spec, 'eat', eats, node));

    const tar = join(DIRECTORY, 'rootfs.tar');
    const name = `tsunicorn-export-${process.pid}`;
    await podman('create', '--pull=never', '--network=none', `--name=${name}`, IMAGE);
    await podman('cp', `${ROOT}test/container/app/.`, `${name}:/app`);
    await podman('export', `--output=${tar}`, name);
    await tryPodman(['rm', name]);
    console_ = await must(join(ROOT, 'test/container/support/guest.sh'), [DIRECTORY, tar, folder], { timeout: 240 });
    rmSync(tar);
    for (const [, key = '', text = '', exit] of console_.matchAll(/^=== (\S+)\r?\n(.*?)^=== exit (\d+)/gms)) {
      said.set(key, { text, exit: Number(exit) });
    }
  });

  test('the kernel has its controllers', () => {
    assert.match(console_, /^controllers:.* cpu .*memory/m);
  });

  for (const { name, workers, heap, rss } of CASES) {
    test(`${name}: ${workers} workers, heap ${heap ?? 'left to V8'}`, () => {
      const config = JSON.parse(said.get(name)?.text ?? assert.fail(console_.slice(-3000)));
      assert.deepEqual(config.TSUNICORN_WORKERS, { value: workers, origin: 'cgroup' });
      assert.deepEqual(config.TSUNICORN_WORKER_HEAP.value, heap ?? 'auto');
      assert.deepEqual(config.TSUNICORN_MAX_WORKER_RSS.value, rss ?? 'auto');
    });
  }

  test('serves as PID 1 with the workers and heaps of its limits, and stops with 0', () => {
    const { text, exit } = said.get('serve') ?? assert.fail(console_.slice(-3000));
    assert.match(text, /"ready":true,"reason":"2 of 2 workers are ready"/);
    assert.match(text, /2 workers: cgroup v2; cpus 0\.5 \(quota 0\.5 from \/sys\/fs\/cgroup\/cpu\.max/);
    // 0.75 × (256 − 64) ÷ 2
    assert.equal(text.match(/--max-old-space-size=72 /g)?.length, 2, text);
    assert.match(text, /"pid":1,.*"msg":"stopped as asked"/);
    assert.equal(exit, 0);
  });

  test('follows a live change of cpu.max from half a core to a whole one', () => {
    const { text, exit } = said.get('resize') ?? assert.fail(console_.slice(-3000));
    assert.match(text, /"ready":true,"reason":"2 of 2 workers are ready"/, text);
    assert.match(text, /"msg":"resized from 2: 3 workers: cgroup v2; cpus 1 /, text);
    assert.match(text, /"ready":true,"reason":"3 of 3 workers are ready"/, text);
    assert.equal(exit, 0);
  });

  test('names the out-of-memory killer, and goes on', () => {
    const { text, exit } = said.get('eat') ?? assert.fail(console_.slice(-3000));
    assert.match(text, /tsunicorn_worker_restarts_total\{reason="oom"\} 1/, text);
    assert.match(
      text,
      /"reason":"oom","msg":"worker ended: SIGKILL, from the kernel, as the memory limit was reached: /,
    );
    assert.equal(text.match(/worker is ready/g)?.length, 2, text);
    assert.equal(exit, 0);
  });
});
