/** What test/fixtures/apps/leader.mjs wrote: who led, and when. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Status } from '../../src/admin/status.ts';
import { type StartOptions, start, type TestServer } from './server.ts';
import { waitFor } from './wait.ts';

/** From the first to the last sign of one worker's leadership, in milliseconds of a clock that all processes share. */
export interface Stint {
  readonly workerId: number;
  readonly from: number;
  to: number;
  ended: boolean;
}

export class Leaders {
  readonly server: TestServer;
  readonly #path: string;

  constructor(server: TestServer, path: string) {
    this.server = server;
    this.#path = path;
  }

  /** In the order of their starts. */
  get stints(): Stint[] {
    const stints = new Map<number, Stint>();
    if (!existsSync(this.#path)) return [];
    for (const line of readFileSync(this.#path, 'utf8').split('\n').slice(0, -1)) {
      const [time = '', id = '', what] = line.split(' ');
      const [workerId, at] = [Number(id), Number(BigInt(time) / 1000n) / 1000];
      const stint = stints.get(workerId) ?? { workerId, from: at, to: at, ended: false };
      stint.to = at;
      stint.ended ||= what === 'end';
      stints.set(workerId, stint);
    }
    return [...stints.values()].toSorted((a, b) => a.from - b.from);
  }

  /** The worker that led last, unless it has said that it stopped. */
  get last(): Stint | undefined {
    return this.stints.at(-1);
  }

  async untilLed(count: number, seconds?: number): Promise<Stint[]> {
    const options = { state: () => this.server.stderr.slice(-3000), ...(seconds === undefined ? {} : { seconds }) };
    return await waitFor(`${count} workers have led`, () => this.stints.length >= count && this.stints, options);
  }

  async pidOf(workerId: number): Promise<number | undefined> {
    const { workers } = await statusOf(this.server);
    return workers.find((worker) => worker.workerId === workerId)?.pid ?? undefined;
  }

  /** Milliseconds without a leader between stints, and stints that overlap. */
  get account(): { gaps: number[]; overlaps: string[] } {
    const gaps: number[] = [];
    const overlaps: string[] = [];
    let before: Stint | undefined;
    for (const stint of this.stints) {
      if (before) gaps.push(stint.from - before.to);
      if (before && stint.from <= before.to) overlaps.push(`${before.workerId} and ${stint.workerId}`);
      if (!before || stint.to > before.to) before = stint;
    }
    return { gaps, overlaps };
  }
}

async function statusOf(server: TestServer): Promise<Status> {
  return JSON.parse((await server.admin('/status')).body);
}

export async function leaders(
  t: Parameters<typeof start>[0],
  { env, ...options }: Omit<StartOptions, 'app'> = {},
): Promise<Leaders> {
  const server = await start(t, { app: 'leader.mjs', env: { LEADER_LOG: 'leaders.log', ...env }, ...options });
  await server.ready();
  return new Leaders(server, join(server.directory, 'leaders.log'));
}

/** In each round a reload and a kill of the leader at any time in it, and now and then a worker more or less before. */
export async function shake(all: Leaders, rounds: number, random: () => number): Promise<void> {
  const { server } = all;
  let resizes = 0;
  for (let round = 1; round <= rounds; round++) {
    const { workerId } = (await all.untilLed(1)).at(-1) as Stint;
    const { workers } = await statusOf(server);
    const newest = Math.max(...workers.map((worker) => worker.workerId));
    const resize = random() < 0.4 ? ++resizes : 0;
    if (resize > 0) server.signal(resize % 2 === 0 ? 'SIGTTIN' : 'SIGTTOU');
    if (resize > 0) await server.untilLogged('received SIGTT', resize); // signals do not queue
    server.signal('SIGHUP');
    await server.untilLogged('received SIGHUP', round);
    const pid = await all.pidOf(workerId);
    const delay = performance.now() + random() * 400;
    await waitFor('the time of the kill', () => performance.now() >= delay);
    if (pid !== undefined) killed(pid, random() < 0.3);
    await waitFor(
      'all workers are of the new generation',
      async () => {
        const { workers, sizing } = await statusOf(server);
        const settled = workers.every(({ state, workerId: id }) => state === 'ready' && id > newest);
        return settled && workers.length === sizing.target;
      },
      { seconds: 60, state: () => server.stderr.slice(-3000) },
    );
  }
}

/** @param stopped before: its last write may be half done */
function killed(pid: number, stopped: boolean): void {
  try {
    if (stopped) process.kill(pid, 'SIGSTOP');
    process.kill(pid, 'SIGKILL');
  } catch {} // it has drained meanwhile
}
