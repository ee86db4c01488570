/** What the chaos test does to a server. Each returns when it is over; what it had to leave out is said once. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, statfsSync, truncateSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CpuGroup } from '../support/cpu-group.ts';
import type { TestServer } from '../support/server.ts';
import type { Span } from './accounts.ts';
import { Client, type Results } from './clients.ts';
import type { FailureLines } from './log-lines.ts';
import type { Step } from './plan.ts';

const QUOTAS = [1, 1.5, 2];
/** Below the timeout of the server under test: a worker that is only stopped lives on. */
const STOP_MS = 3_000;
const FOR_A_WHILE_MS = 3_000;
/** Lines of 16 kB each, more than fit into 4 MiB in each of four workers, and into what is between them and the reader. */
const THROWS = 1_600;
const AT_ONCE = 32;
/** Together the workers cannot hold so many at `DESCRIPTORS`. */
const BURST = 1_200;
/** RLIMIT_NOFILE of the server under test. */
export const DESCRIPTORS = 200;

export interface World {
  readonly server: TestServer;
  readonly results: Results;
  readonly group: CpuGroup | undefined;
  readonly disk: Disk | undefined;
  readonly bursts: Span[];
  readonly stops: Span[];
  readonly lines: FailureLines;
}

export async function act({ action, choice }: Step, world: World): Promise<void> {
  const { server, results, group, disk, bursts, stops, lines } = world;
  const { port } = server;
  const pids = server.workerPids();
  const pid = pids[Math.floor(choice * pids.length)];
  const once = (path: string): Promise<void> =>
    new Client(port, results, { name: path, path, keepAlive: false, pauseMs: 0 }, true).done;
  switch (action) {
    case 'hup':
      return server.signal('SIGHUP');
    case 'more':
      return server.signal('SIGTTIN');
    case 'less':
      return server.signal('SIGTTOU');
    case 'kill':
      if (pid !== undefined) process.kill(pid, 'SIGKILL');
      return;
    case 'stop':
      if (pid === undefined) return;
      stops.push(await during(STOP_MS, () => process.kill(pid, 'SIGSTOP')));
      if (server.workerPids().includes(pid)) process.kill(pid, 'SIGCONT');
      return;
    case 'quota':
      return group?.setQuota(QUOTAS[Math.floor(choice * QUOTAS.length)] ?? 2);
    case 'leak':
      for (let i = 0; i < 60; i++) await once('/?leak');
      return;
    case 'spin':
      return await once('/spin?ms=600000');
    case 'log reader': {
      server.child.stderr?.pause();
      for (let thrown = 0; thrown < THROWS; thrown += AT_ONCE) {
        await Promise.all(Array.from({ length: AT_ONCE }, () => once('/?throw')));
      }
      server.child.stderr?.resume();
      await sleep(FOR_A_WHILE_MS);
      lines.take(server);
      return;
    }
    case 'full disk':
      disk?.fill();
      await sleep(FOR_A_WHILE_MS);
      disk?.clear();
      return;
    case 'descriptors': {
      const sockets: net.Socket[] = [];
      const connect = (): net.Socket => net.connect({ port, host: '127.0.0.1' }).on('error', () => undefined);
      bursts.push(
        await during(FOR_A_WHILE_MS, () => {
          for (let i = 0; i < BURST; i++) sockets.push(connect());
        }),
      );
      for (const socket of sockets) socket.destroy();
      return;
    }
    default:
      return action satisfies never;
  }
}

/** So long from when it begins, and until when that was. */
async function during(ms: number, begin: () => void): Promise<Span> {
  const from = Date.now();
  begin();
  await sleep(ms);
  return { from, to: Date.now() };
}

/** A tmpfs for a log file; undefined from `make` where this process may not mount one. */
export class Disk {
  readonly log: string;
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
    this.log = join(directory, 'access.log');
  }

  static make(directory: string): Disk | undefined {
    mkdirSync(directory, { recursive: true });
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', directory], { stdio: 'ignore' });
      return new Disk(directory);
    } catch {
      return undefined;
    }
  }

  fill(): void {
    const { bavail, bsize } = statfsSync(this.#directory);
    try {
      writeFileSync(join(this.#directory, 'full'), Buffer.alloc(bavail * bsize, 1));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error; // the log was faster
    }
  }

  clear(): void {
    rmSync(join(this.#directory, 'full'), { force: true });
    truncateSync(this.log);
  }

  remove(): void {
    execFileSync('umount', ['-l', this.#directory]);
    rmSync(this.#directory, { recursive: true });
  }
}
