/**
 * The figures. The machine's speed wanders from second to second, so nothing is compared across rounds: all servers of
 * a figure are up at once, each round gives every one of them a burst in turn, and what counts is the ratio within it.
 * Each round has new processes, too: one keeps for life the memory layout and the compilations that it happened to get,
 * and two copies of the same server differ by 2 % for that alone.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ask, statusOf } from './client.ts';
import type { Job } from './load.ts';
import { messages } from './messages.ts';
import { cpuSeconds, residentMegabytes, treeOf } from './proc.ts';
import { scrape } from './scrape.ts';
import type { Server, Servers } from './servers.ts';

export interface Row {
  readonly figure: string;
  readonly unit: '×' | 'MB' | 'ms';
  /** One a round. */
  readonly values: readonly number[];
  /** Met when the median is not above it; undefined is for information. */
  readonly target?: number;
  /** The absolute values behind it. */
  readonly context?: string;
}

export interface Context {
  readonly servers: Servers;
  readonly rounds: number;
}

export type Experiment = (context: Context) => Promise<Row[]>;

/** CPU time comes in steps of 10 ms a process: of 1.5 s busy time that is less than 1 %. */
const BURST_SECONDS = 1.5;
/** For the compilers. */
const WARM_UP_SECONDS = 0.7;
const CLIENTS = 64;
/** A start is short and noisy, so there are more of them. */
const LEAST_STARTS = 9;
const MEMORY_REQUESTS = 50_000;
/** Until a server has given back what it gives back at once. */
const IDLE_MS = 2_000;
const HELD_CONNECTIONS = 200;
const BALANCE_WORKERS = 4;

/** By the names that --only takes. */
export const EXPERIMENTS: Readonly<Record<string, Experiment>> = {
  'keep-alive': async ({ servers, rounds }) => {
    const cost = await cpuPerRequest(servers, rounds, 'keep-alive', {
      bare: () => servers.bare(),
      plain: () => servers.tsunicorn(1),
      logged: () => servers.tsunicorn(1, logged(servers)),
    });
    return [
      ratio('CPU a request, keep-alive, metrics on, ÷ bare node:http', cost.plain, cost.bare, 1.06),
      ratio('the same with the JSON access log to a file', cost.logged, cost.bare, 1.3),
    ];
  },
  connection: async ({ servers, rounds }) => {
    const cost = await cpuPerRequest(servers, rounds, 'connection', {
      cluster: () => servers.cluster(),
      tsunicorn: () => servers.tsunicorn(2),
    });
    return [ratio('CPU a request, a connection each, 2 workers, ÷ node:cluster', cost.tsunicorn, cost.cluster, 0.55)];
  },
  balance: async ({ servers, rounds }) => {
    const server = await servers.tsunicorn(BALANCE_WORKERS, { TSUNICORN_APP: servers.app('whoami') });
    const values: number[] = [];
    for (let round = 0; round < rounds; round++) values.push(await imbalance(server.port));
    const figure = `${HELD_CONNECTIONS} keep-alive connections over ${BALANCE_WORKERS} workers, fullest ÷ mean`;
    return [{ figure, unit: '×', values, target: 1.35 }];
  },
  memory: async ({ servers, rounds }) => {
    const seen: { arbiter: number; bare: number; plain: number; logged: number }[] = [];
    for (let round = 0; round < rounds; round++) {
      const bare = await servers.bare();
      const plain = await servers.tsunicorn(1);
      const withLog = await servers.tsunicorn(1, logged(servers));
      const all = [bare, plain, withLog];
      for (const { port } of all)
        await servers.burst({ port, mode: 'keep-alive', clients: CLIENTS, until: { requests: MEMORY_REQUESTS } });
      // As Prometheus does in a minute.
      for (let scrape = 0; scrape < 4; scrape++) await statusOf(plain.adminPort, '/metrics');
      await sleep(IDLE_MS);
      seen.push({
        arbiter: residentMegabytes(plain.pid),
        bare: residentMegabytes(bare.pid),
        plain: residentMegabytes(workerOf(plain)),
        logged: residentMegabytes(workerOf(withLog)),
      });
      for (const server of all) await servers.stop(server);
    }
    const above = (which: 'plain' | 'logged'): Omit<Row, 'figure'> => ({
      unit: 'MB',
      values: seen.map((s) => s[which] - s.bare),
      context: absolute('MB', { tsunicorn: seen.map((s) => s[which]), bare: seen.map((s) => s.bare) }),
    });
    return [
      { figure: 'resident size of the arbiter', unit: 'MB', values: seen.map((s) => s.arbiter), target: 60 },
      { figure: 'a worker above the bare server, same load', target: 8, ...above('plain') },
      { figure: 'the same with the JSON access log to a file', ...above('logged') },
    ];
  },
  start: async ({ servers, rounds }) => {
    const bare: number[] = [];
    const tsunicorn: number[] = [];
    for (let start = 0; start < Math.max(rounds, LEAST_STARTS); start++) {
      for (const [times, begin] of [
        [bare, () => servers.bare()],
        [tsunicorn, () => servers.tsunicorn(1)],
      ] as const) {
        const server = await begin();
        times.push(server.startMs);
        await servers.stop(server);
      }
    }
    const values = tsunicorn.map((ms, i) => ms - (bare[i] ?? 0));
    const context = absolute('ms', { tsunicorn, bare });
    return [{ figure: 'spawn to first 200, above the bare server', unit: 'ms', values, target: 150, context }];
  },
  scrape,
  messages,
};

/** Microseconds of CPU time, of the whole process tree, for each request: one value a round. */
async function cpuPerRequest<Name extends string>(
  servers: Servers,
  rounds: number,
  mode: Job['mode'],
  start: Readonly<Record<Name, () => Promise<Server>>>,
): Promise<Record<Name, number[]>> {
  const names = Object.keys(start) as Name[];
  const cost = Object.fromEntries(names.map((name) => [name, []])) as unknown as Record<Name, number[]>;
  for (let round = 0; round < rounds; round++) {
    const subjects: [Name, Server][] = [];
    for (const name of names) subjects.push([name, await start[name]()]);
    const burst = ({ port }: Server, seconds: number): Promise<number> =>
      servers.burst({ port, mode, clients: CLIENTS, until: { seconds } });
    for (const [, server] of subjects) await burst(server, WARM_UP_SECONDS);
    for (const [name, server] of rotated(subjects, round)) {
      const tree = treeOf(server.pid);
      const before = cpuSeconds(tree);
      const answered = await burst(server, BURST_SECONDS);
      cost[name].push(((cpuSeconds(tree) - before) * 1e6) / answered);
    }
    for (const [, server] of subjects) await servers.stop(server);
  }
  return cost;
}

/** None always comes after the same neighbour. */
function rotated<T>(list: readonly T[], by: number): T[] {
  const first = by % list.length;
  return [...list.slice(first), ...list.slice(0, first)];
}

/** Opens connections one after another, leaves them open, and compares the fullest worker with the mean. */
async function imbalance(port: number): Promise<number> {
  const sockets: { destroy(): unknown }[] = [];
  const load = new Map<string, number>();
  try {
    while (sockets.length < HELD_CONNECTIONS) {
      const { socket, head } = await ask(port);
      sockets.push(socket);
      const worker = /\r\nx-worker: (\d+)/i.exec(head)?.[1] ?? '';
      load.set(worker, (load.get(worker) ?? 0) + 1);
    }
  } finally {
    for (const socket of sockets) socket.destroy();
  }
  return Math.max(...load.values()) / (HELD_CONNECTIONS / BALANCE_WORKERS);
}

function logged(servers: Servers): Record<string, string> {
  return { TSUNICORN_ACCESS_LOG: join(servers.directory, 'access.log') };
}

/** The only worker of a tsunicorn. */
function workerOf({ pid }: Server): number {
  const [, worker] = treeOf(pid);
  if (worker === undefined) throw new Error(`process ${pid} has no worker`);
  return worker;
}

function ratio(figure: string, ours: readonly number[], theirs: readonly number[], target: number): Row {
  const values = ours.map((value, i) => value / (theirs[i] ?? Number.NaN));
  return { figure, unit: '×', values, target, context: absolute('µs', { tsunicorn: ours, baseline: theirs }) };
}

function absolute(unit: string, series: Readonly<Record<string, readonly number[]>>): string {
  return Object.entries(series)
    .map(([name, values]) => `${name} ${median(values).toFixed(1)} ${unit}`)
    .join(', ');
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return ((sorted[Math.floor(middle)] ?? 0) + (sorted[Math.ceil(middle) - 1] ?? 0)) / 2;
}
