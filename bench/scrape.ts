/** What a scrape costs the arbiter, with many workers whose app has many metrics. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { textOf } from './client.ts';
import type { Experiment } from './figures.ts';
import { cpuSeconds, residentMegabytes } from './proc.ts';

const WORKERS = 64;
const SERIES = 700;
/** CPU time comes in steps of 10 ms: of this many scrapes a step is half a millisecond each. */
const SCRAPES = 20;
/** In which all workers report by themselves, too. */
const BETWEEN_MS = 250;

/** The longest turn of the arbiter's loop, in milliseconds, as bench/apps/loop-watch.cjs writes it. */
interface Turn {
  readonly cpu: number;
  readonly clock: number;
  /** By the clock less the wait for a CPU. */
  readonly running: number;
}

/** Every round a new server. The heartbeats of 64 workers in between are in the figures, their start and stop are not. */
export const scrape: Experiment = async ({ servers, rounds }) => {
  const rows: { cpu: number; turn: Turn; took: number; resident: number }[] = [];
  for (let round = 0; round < rounds; round++) {
    const file = join(servers.directory, `loop-${round}`);
    const server = await servers.tsunicorn(WORKERS, {
      TSUNICORN_APP: servers.app('metrics'),
      TSUNICORN_BOOT_TIMEOUT: '300',
      NODE_OPTIONS: `--require=${servers.app('loop-watch')}`,
      LOOP_WATCH: file,
    });
    process.kill(server.pid, 'SIGURG');
    const before = cpuSeconds([server.pid]);
    const times: number[] = [];
    let text = '';
    for (let i = 0; i < SCRAPES; i++) {
      const from = performance.now();
      text = await textOf(server.adminPort, '/metrics');
      times.push(performance.now() - from);
      await sleep(BETWEEN_MS);
    }
    process.kill(server.pid, 'SIGURG');
    const cpu = ((cpuSeconds([server.pid]) - before) / SCRAPES) * 1000;
    const found = text.match(/^bench_seconds_/gm)?.length;
    if (found !== SERIES) throw new Error(`${found} of ${SERIES} series of the app`);
    const resident = residentMegabytes(server.pid);
    await servers.stop(server);
    const took = times.toSorted((a, b) => a - b)[times.length >> 1] ?? 0;
    rows.push({ cpu, took, resident, turn: JSON.parse(readFileSync(file, 'utf8')) });
  }
  const what = `${WORKERS} workers with ${SERIES} series of the app each`;
  return [
    { figure: `CPU of the arbiter a scrape, ${what}`, unit: 'ms', values: rows.map((r) => r.cpu), target: 100 },
    { figure: 'the longest turn of its loop, CPU time', unit: 'ms', values: rows.map((r) => r.turn.cpu), target: 50 },
    {
      figure: 'the same by the clock, less the wait for a CPU',
      unit: 'ms',
      values: rows.map((r) => r.turn.running),
      target: 50,
    },
    { figure: 'the same by the clock', unit: 'ms', values: rows.map((r) => r.turn.clock), target: 50 },
    { figure: 'from the request to the end of the answer', unit: 'ms', values: rows.map((r) => r.took) },
    { figure: 'resident size of that arbiter', unit: 'MB', values: rows.map((r) => r.resident) },
  ];
};
