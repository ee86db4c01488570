/** Messages from one worker to the others: what they cost who passes them on, and how long they take. */
import { setTimeout as sleep } from 'node:timers/promises';
import { textOf } from './client.ts';
import type { Experiment, Row } from './figures.ts';
import { cpuSeconds } from './proc.ts';
import type { Server } from './servers.ts';

const WORKERS = 4;
/** The size of a message's load, and how many: a second or two. */
const LOADS = [
  { bytes: 100, count: 40_000 },
  { bytes: 10_000, count: 10_000 },
] as const;
/** Until all four workers of node:cluster listen. */
const START_MS = 1_000;

interface Cost {
  /** Microseconds a message. */
  readonly cpu: number[];
  readonly time: number[];
}

export const messages: Experiment = async ({ servers, rounds }) => {
  const costs = LOADS.map(() => ({ ours: cost(), theirs: cost() }));
  for (let round = 0; round < rounds; round++) {
    const ours = await servers.tsunicorn(WORKERS, { TSUNICORN_APP: servers.app('messages'), WORKERS: String(WORKERS) });
    const theirs = await servers.clusterOf('messages', { WORKERS: String(WORKERS) });
    await sleep(START_MS);
    for (const { port } of [ours, theirs]) await textOf(port, '/?count=5000&bytes=100');
    for (const [i, { bytes, count }] of LOADS.entries()) {
      for (const [server, into] of [
        [ours, costs[i]?.ours],
        [theirs, costs[i]?.theirs],
      ] as const) {
        if (into) await measure(server, bytes, count, into);
      }
    }
    for (const server of [ours, theirs]) await servers.stop(server);
  }
  return LOADS.flatMap(({ bytes }, i) => {
    const { ours, theirs } = costs[i] ?? { ours: cost(), theirs: cost() };
    const what = `a message of ${bytes} bytes to ${WORKERS - 1} workers`;
    return [
      against(`CPU of the arbiter, ${what}, ÷ node:cluster's primary`, ours.cpu, theirs.cpu),
      against('the same by the clock, until all have it', ours.time, theirs.time),
    ];
  });
};

const cost = (): Cost => ({ cpu: [], time: [] });

async function measure({ pid, port }: Server, bytes: number, count: number, into: Cost): Promise<void> {
  const before = cpuSeconds([pid]);
  const ms = Number(await textOf(port, `/?count=${count}&bytes=${bytes}`));
  into.cpu.push(((cpuSeconds([pid]) - before) * 1e6) / count);
  into.time.push((ms * 1000) / count);
}

function against(figure: string, ours: readonly number[], theirs: readonly number[]): Row {
  const micros = (values: readonly number[]): string =>
    `${(values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0).toFixed(1)} µs`;
  const context = `tsunicorn ${micros(ours)}, node:cluster ${micros(theirs)}`;
  return { figure, unit: '×', values: ours.map((value, i) => value / (theirs[i] ?? Number.NaN)), context };
}
