/** For tests of metrics: reports of workers, and what is exposed. */
import type { WorkerReport } from '../../src/messages.ts';
import type { Family } from '../../src/observe/metrics/aggregate.ts';
import { exposition, type Format } from '../../src/observe/metrics/exposition.ts';
import { METRICS } from '../../src/observe/metrics/table.ts';

export const QUIET: WorkerReport = {
  requests: {},
  rejected: {},
  sentBytes: 0,
  droppedLogLines: 0,
  cpu: { user: 0, system: 0 },
  gc: {},
  served: 0,
  inFlight: 0,
  connections: 0,
  rssBytes: 50e6,
  heapUsedBytes: 8e6,
  heapTotalBytes: 10e6,
  externalBytes: 2e6,
  lag: [0.001, 0.002, 0.003, 0.004],
  utilization: 0.5,
};

/** As they come. */
export async function printed(families: Iterable<Family>, format: Format): Promise<string[]> {
  const pieces: string[] = [];
  for await (const piece of exposition(families, format)) pieces.push(piece);
  return pieces;
}

export async function exposed(families: Iterable<Family>, format: Format = 'text'): Promise<string> {
  return (await printed(families, format)).join('');
}

/** Series and values of a Prometheus text. */
export function series(text: string): Record<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return Object.fromEntries(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  );
}

export const NAMES = Object.keys(METRICS);
