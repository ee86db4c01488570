/**
 * `npm run test:chaos [-- --minutes N]`: mixed load while all that can go wrong does, by a plan that CHAOS_SEED
 * repeats. Exit 0 where every failed request is accounted for and the server is as it was.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { CpuGroup, NEEDS } from '../support/cpu-group.ts';
import { scrape, total, Watch } from '../support/scrapes.ts';
import { start, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';
import { answersIn, compare, deathsIn, inWords, linesAmiss, type Span, unexplained } from './accounts.ts';
import { act, DESCRIPTORS, Disk, type World } from './actions.ts';
import { Client, type Kind, Results } from './clients.ts';
import { liveHeapBytes } from './live-heap.ts';
import { FailureLines } from './log-lines.ts';
import { planOf, type Step } from './plan.ts';

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '5' } } });
const lengthMs = Number(values.minutes) * 60_000;
const seed = Number(process.env.CHAOS_SEED ?? Math.floor(Math.random() * 2 ** 32));
if (!(lengthMs > 0) || !Number.isInteger(seed)) throw new Error('--minutes and CHAOS_SEED have to be numbers');

const MIB = 2 ** 20;
/** What an arbiter may hold at the end and not at the beginning: functions that had not run yet have been compiled. */
const LIVE_GROWTH_BYTES = MIB;
/** The same of its resident memory: garbage that it has not collected yet comes to that, and what allocators keep. */
const RSS_GROWTH_BYTES = 8 * MIB;
const SCRAPE_MS = 2_000;
const WORKERS = 3;
const KINDS: readonly (Kind | 'websocket')[] = [
  ...repeat(4, { name: 'keep-alive', path: '/', keepAlive: true, pauseMs: 10 }),
  ...repeat(3, { name: 'short', path: '/', keepAlive: false, pauseMs: 20 }),
  ...repeat(2, { name: 'slow', path: '/slow?ms=400', keepAlive: false, pauseMs: 0 }),
  ...repeat(2, {
    name: 'post',
    path: '/upload',
    method: 'POST',
    body: 'x'.repeat(20_000),
    keepAlive: true,
    pauseMs: 20,
  }),
  ...repeat<'websocket'>(3, 'websocket'),
];

const undo: (() => unknown)[] = [];
const t = { after: (fn: () => unknown) => void undo.unshift(fn) };
const problems: string[] = [];
/** What this machine does not let it do. */
const leftOut: string[] = [];
try {
  await chaos();
} finally {
  for (const fn of undo) await fn();
}
for (const problem of problems) say(`NOT RIGHT: ${problem}`);
for (const what of leftOut) say(`NOT TRIED: ${what}`);
const verdict = leftOut.length === 0 ? 'all is accounted for' : 'what was tried is accounted for';
say(problems.length === 0 ? verdict : `CHAOS_SEED=${seed} repeats this`);
process.exitCode = problems.length === 0 ? 0 : 1;

async function chaos(): Promise<void> {
  say(`CHAOS_SEED=${seed}, ${values.minutes} min`);
  const group = CpuGroup.make(t, 2);
  if (!group) leftOut.push(`no quota is changed: that ${NEEDS}`);
  const disk = Disk.make(join(tmpdir(), `tsunicorn-chaos-${process.pid}`));
  if (disk) t.after(() => disk.remove());
  else leftOut.push('no disk fills up: that needs the right to mount a tmpfs');
  for (const what of leftOut) say(what);
  const server = await start(t, {
    app: 'chaos.js',
    nodeArgs: ['--inspect=127.0.0.1:0'],
    wrapper: ['sh', '-c', `ulimit -n ${DESCRIPTORS} && exec "$@"`, 'sh', ...(group?.wrapper ?? [])],
    env: {
      TSUNICORN_WORKERS: group ? undefined : String(WORKERS),
      TSUNICORN_WORKERS_PER_CPU: '1.5',
      TSUNICORN_RESIZE_INTERVAL: '0.5',
      TSUNICORN_TIMEOUT: '4',
      TSUNICORN_GRACEFUL_TIMEOUT: '5',
      TSUNICORN_MAX_WORKER_RSS: '220MiB',
      TSUNICORN_CRASH_LIMIT: '10',
      TSUNICORN_ACCESS_LOG: disk?.log ?? 'off',
    },
  });
  await server.ready(60);
  const results = new Results();
  const bursts: Span[] = [];
  const stops: Span[] = [];
  const clients = KINDS.map((kind) => new Client(server.port, results, kind));
  await sleep(1_000); // the first figures are of a server that works
  const before = {
    liveHeap: await liveHeapBytes(() => server.stderr),
    descriptors: descriptorsOf(server.pid),
    at: performance.now(),
  };
  const rss: number[] = [];
  const sampler = setInterval(() => rss.push(rssOf(server.pid)), 1_000);
  t.after(() => clearInterval(sampler));
  const watch = new Watch(server, SCRAPE_MS);

  const acts: Promise<void>[] = [];
  const lines = new FailureLines();
  const world = { server, results, group, disk, bursts, stops, lines };
  const plan = planOf(seed, lengthMs);
  for (const step of plan) {
    await sleep(Math.max(0, before.at + step.at - performance.now()));
    if (server.exitCode !== undefined) break;
    say(`${(step.at / 1000).toFixed(1)} s: ${step.action} (${step.choice.toFixed(2)})`);
    acts.push(act(step, world));
  }
  await Promise.all(acts);
  await Promise.all(clients.map((client) => client.stop()));
  if (server.exitCode !== undefined) {
    problems.push(`the server ended with ${server.exitCode}: ${server.log.at(-1)?.msg}`);
    return;
  }
  group?.setQuota(2);
  server.signal('SIGHUP');
  await settled(server);
  clearInterval(sampler);
  await watch.stop();
  problems.push(...watch.falls.map((fall) => `a counter fell: ${fall}`));
  await judge(world, before.descriptors);
  await judgeLog(world, plan);
  report(rss, before.liveHeap, await liveHeapBytes(() => server.stderr));
  const code = await server.stop();
  if (code !== 0) problems.push(`exit code ${code} at the stop`);
}

/** The right number of workers, all ready, none left that drains. */
async function settled(server: TestServer): Promise<void> {
  try {
    await waitFor(
      'the workers that are wanted, and no others',
      async () => {
        const now = await scrape(server);
        const count = (state: string): number => total(now, new RegExp(`^tsunicorn_workers\\{state="${state}"\\}`));
        const isRight = count('desired') === WORKERS && count('ready') === WORKERS && count('draining') === 0;
        return isRight && childrenOf(server.pid).length === WORKERS && server.logged('received SIGHUP').length > 0;
      },
      { seconds: 60, state: () => server.stderr.slice(-2_000) },
    );
  } catch (error) {
    problems.push((error as Error).message);
  }
}

async function judge({ server, results, bursts, stops }: World, descriptorsBefore: number): Promise<void> {
  const { log } = server;
  const deaths = deathsIn(log);
  const answers = Object.values(results.answers).reduce((a, b) => a + b, 0);
  say(`${answers} answers, ${results.echoes} echoes, ${results.failures.length} failures, ${deaths.length} kills`);
  say(`restarts: ${JSON.stringify(restarts((await scrape(server)).series))}`);
  for (const { msg, level, time, workerPid, err } of log) {
    const isTold = msg.startsWith('worker ended') || msg.startsWith('worker is killed') || level === 'fatal';
    if (isTold) say(`${time} ${workerPid ?? ''} ${msg} ${err ? JSON.stringify(err) : ''}`);
  }
  for (const failure of unexplained(results.failures, deaths, bursts, stops))
    problems.push(`lost: ${JSON.stringify(failure)}`);
  const now = await scrape(server);
  for (const one of compare(results, answersIn(now.series), deaths)) {
    say(inWords(one));
    if (!one.agrees) problems.push(inWords(one));
  }
  const zombies = childrenOf(server.pid).filter((pid) => stateOf(pid) === 'Z');
  if (zombies.length > 0) problems.push(`zombies: ${zombies.join()}`);
  // The socket of a slot that TTIN added is held for good: there is one of it for each.
  const slots = Math.max(WORKERS, ...log.map(({ worker }) => Number(worker ?? 0) + 1));
  const allowed = descriptorsBefore + slots - WORKERS;
  try {
    await waitFor('the arbiter has no more descriptors', () => descriptorsOf(server.pid) <= allowed);
  } catch {
    problems.push(
      `descriptors of the arbiter: ${descriptorsBefore} before, ${allowed} allowed, ${descriptorsOf(server.pid)} after`,
    );
  }
}

async function judgeLog({ server, results, lines, disk }: World, plan: readonly Step[]): Promise<void> {
  lines.take(server);
  const throws = results.answers['method="GET",code="500"'] ?? 0;
  const dropped = await server.metric('tsunicorn_log_lines_dropped_total');
  say(
    `${throws} requests failed by the app, ${lines.read} lines about them were read; ${dropped} lines dropped in all`,
  );
  const does = (what: Step['action']): boolean => plan.some(({ action }) => action === what);
  problems.push(
    ...linesAmiss({ throws, read: lines.read, dropped }, does('log reader'), disk !== undefined && does('full disk')),
  );
}

/** The memory of the arbiter over time, and whether it grew. */
function report(rss: readonly number[], liveBefore: number, liveAfter: number): void {
  say(`live heap of the arbiter, MiB: ${(liveBefore / MIB).toFixed(2)} before, ${(liveAfter / MIB).toFixed(2)} after`);
  if (liveAfter - liveBefore > LIVE_GROWTH_BYTES) problems.push('the live heap of the arbiter grew');
  const parts = 10;
  const size = Math.max(1, Math.floor(rss.length / parts));
  const medians = Array.from({ length: parts }, (_, i) => median(rss.slice(i * size, (i + 1) * size)));
  say(`RSS of the arbiter, medians of tenths, MiB: ${medians.map((bytes) => (bytes / MIB).toFixed(1)).join(' ')}`);
  const growth = (medians.at(-1) ?? 0) - (medians[1] ?? 0);
  if (growth > RSS_GROWTH_BYTES) problems.push(`the arbiter grew by ${(growth / MIB).toFixed(1)} MiB`);
}

function restarts(series: Readonly<Record<string, number>>): Record<string, number> {
  const found = Object.entries(series).flatMap(([name, value]) => {
    const reason = /^tsunicorn_worker_restarts_total\{reason="(\w+)"\}/.exec(name)?.[1];
    return reason === undefined || value === 0 ? [] : [[reason, value] as const];
  });
  return Object.fromEntries(found);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

/** Zombies too. */
function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').map(Number).filter(Boolean);
}

function stateOf(pid: number): string | undefined {
  return readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '')[0];
}

function descriptorsOf(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** Bytes: the second field of statm is pages of 4 KiB (proc(5)). */
function rssOf(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]) * 4_096;
}

function repeat<T>(count: number, value: T): T[] {
  return Array.from({ length: count }, () => value);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
