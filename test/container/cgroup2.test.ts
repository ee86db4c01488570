/** The image under a real cgroup v2 kernel: CPU and memory limits become workers and heaps (contract, section 4). */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, suite, type TestContext, test } from 'node:test';
import { type Bundle, bundle, cases, emptyFolder, guestProblem, NODE, runGuest, type Said } from './support/guest.ts';
import { DIRECTORY, skipReason } from './support/machine.ts';

interface Case extends Bundle {
  readonly name: string;
  /** Undefined where the limits decide nothing. */
  readonly heap: string | undefined;
  /** Resident size above which a worker is recycled. */
  readonly rss?: string;
  readonly workers: string;
}

const CASES: readonly Case[] = [
  { name: 'cpu-1', cpu: 1, workers: '1', heap: undefined },
  { name: 'cpu-half', cpu: 0.5, env: ['TSUNICORN_WORKERS_PER_CPU=4'], workers: '2', heap: undefined },
  // 0.75 × (256 − 64) = 144; 0.9 × (256 − 64) = 172.8, and 48 of shared pages
  { name: 'memory', cpu: 1, memory: 256, workers: '1', heap: '144MiB', rss: '220MiB' },
  // ceil(4 − 0.1) = 4 are asked for; (0.9 × 512 − 64) ÷ 128 = 3.1 have room; 0.75 × (512 − 64) ÷ 3 = 112;
  // 0.9 × (512 − 64) ÷ 3 = 134, and 48
  {
    name: 'memory-bound',
    cpu: 1,
    memory: 512,
    env: ['TSUNICORN_WORKERS_PER_CPU=4'],
    workers: '3',
    heap: '112MiB',
    rss: '182MiB',
  },
];

suite('under cgroup v2', { skip: skipReason() }, () => {
  const said = new Map<string, Said>();
  let console_ = '';

  const inGuest = (name: string, body: (t: TestContext) => void): void =>
    void test(name, (t) => {
      const problem = guestProblem(console_);
      return problem === undefined ? body(t) : t.skip(problem);
    });

  before(async () => {
    const folder = join(DIRECTORY, 'cases');
    const spec = await emptyFolder(folder);
    for (const one of CASES) {
      writeFileSync(join(folder, `${one.name}.json`), bundle(spec, one.name, one, [...NODE, 'config', '--json']));
    }
    const served = { cpu: 0.5, memory: 256, env: ['TSUNICORN_WORKERS_PER_CPU=4', 'TSUNICORN_WORKER_MEMORY=64MiB'] };
    writeFileSync(join(folder, 'serve.json'), bundle(spec, 'serve', served, NODE));
    const resized = { cpu: 0.5, memory: 512, env: ['TSUNICORN_WORKERS_PER_CPU=3', 'TSUNICORN_RESIZE_INTERVAL=1'] };
    writeFileSync(join(folder, 'resize.json'), bundle(spec, 'resize', resized, NODE));
    const eats = { cpu: 1, memory: 256, env: ['TSUNICORN_WORKERS=1'] };
    writeFileSync(join(folder, 'eat.json'), bundle(spec, 'eat', eats, NODE));

    console_ = await runGuest(folder, { 'test/container/app/.': '/app' });
    for (const [key, what] of cases(console_)) said.set(key, what);
  });

  inGuest('the kernel has its controllers', () => {
    assert.match(console_, /^controllers:.* cpu .*memory/m);
  });

  for (const { name, workers, heap, rss } of CASES) {
    inGuest(`${name}: ${workers} workers, heap ${heap ?? 'left to V8'}`, () => {
      const config = JSON.parse(said.get(name)?.text ?? assert.fail(console_.slice(-3000)));
      assert.deepEqual(config.TSUNICORN_WORKERS, { value: workers, origin: 'cgroup' });
      assert.deepEqual(config.TSUNICORN_WORKER_HEAP.value, heap ?? 'auto');
      assert.deepEqual(config.TSUNICORN_MAX_WORKER_RSS.value, rss ?? 'auto');
    });
  }

  inGuest('serves as PID 1 with the workers and heaps of its limits, and stops with 0', () => {
    const { text, exit } = said.get('serve') ?? assert.fail(console_.slice(-3000));
    assert.match(text, /"ready":true,"reason":"2 of 2 workers are ready"/);
    assert.match(text, /2 workers: cgroup v2; cpus 0\.5 \(quota 0\.5 from \/sys\/fs\/cgroup\/cpu\.max/);
    // 0.75 × (256 − 64) ÷ 2
    assert.equal(text.match(/--max-old-space-size=72 /g)?.length, 2, text);
    assert.match(text, /"pid":1,.*"msg":"stopped as asked"/);
    assert.equal(exit, 0);
  });

  inGuest(
    'follows live changes of cpu.max from half a core to a whole one, and of memory.max from 512 MiB to 400',
    () => {
      const { text, exit } = said.get('resize') ?? assert.fail(console_.slice(-3000));
      assert.match(text, /"ready":true,"reason":"2 of 2 workers are ready"/, text);
      assert.match(text, /"msg":"resized from 2: 3 workers: cgroup v2; cpus 1 /, text);
      assert.match(text, /"ready":true,"reason":"3 of 3 workers are ready"/, text);
      // (0.9 × 400 − 64) ÷ 128 = 2.3; 0.75 × (400 − 64) ÷ 2
      assert.match(
        text,
        /"msg":"fewer workers in 6 s unless the limits change: 2 workers: .*memory limit 400MiB /,
        text,
      );
      assert.match(text, /"msg":"resized from 3: 2 workers: .*heap limit 126MiB each/, text);
      assert.equal(exit, 0);
    },
  );

  inGuest('names the out-of-memory killer, and goes on', () => {
    const { text, exit } = said.get('eat') ?? assert.fail(console_.slice(-3000));
    assert.match(text, /tsunicorn_worker_restarts_total\{reason="oom"\} 1/, text);
    assert.match(text, /^tsunicorn_cgroup_oom_kills_total 1$/m, text);
    assert.match(
      text,
      /"reason":"oom","msg":"worker ended: SIGKILL, from the kernel, as the memory limit was reached: /,
    );
    assert.equal(text.match(/worker is ready/g)?.length, 2, text);
    assert.equal(exit, 0);
  });
});
