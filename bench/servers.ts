/** Starts the servers side by side on ports of their own, and leaves none behind. */
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { statusOf } from './client.ts';
import type { Job, Outcome } from './load.ts';
import { isRunning, treeOf } from './proc.ts';

/** A start takes a tenth of a second; this is for 64 workers, and a machine that is busy with something else. */
const START_DEADLINE_MS = 120_000;
const STOP_DEADLINE_MS = 5_000;
const POLL_MS = 2;

export interface Server {
  readonly pid: number;
  readonly port: number;
  readonly adminPort: number;
  /** From the spawn to the first 200. */
  readonly startMs: number;
}

const pathOf = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

export class Servers {
  readonly #children = new Map<number, ChildProcess>();
  #directory: string | undefined;
  #generator: ChildProcess | undefined;

  /** One bare http.createServer process. */
  bare(): Promise<Server> {
    return this.#start([this.app('bare')], (port) => ({ PORT: String(port) }));
  }

  cluster(): Promise<Server> {
    return this.clusterOf('cluster', {});
  }

  /** A program that forks its workers with node:cluster. */
  clusterOf(app: string, env: Record<string, string>): Promise<Server> {
    return this.#start([this.app(app)], (port) => ({ PORT: String(port), ...env }));
  }

  /** tsunicorn as it is in dist/, with metrics, without access log unless `settings` say so. */
  async tsunicorn(workers: number, settings: Record<string, string> = {}): Promise<Server> {
    const server = await this.#start([pathOf('../dist/main.js')], (port, adminPort) => ({
      TSUNICORN_APP: this.app('hello'),
      TSUNICORN_BIND: `127.0.0.1:${port}`,
      TSUNICORN_ADMIN_BIND: `127.0.0.1:${adminPort}`,
      TSUNICORN_WORKERS: String(workers),
      TSUNICORN_ACCESS_LOG: 'off',
      TSUNICORN_ERROR_LOG: join(this.directory, 'error.log'),
      ...settings,
    }));
    await until200(server.adminPort, '/readyz');
    return server;
  }

  /** The path of an app in bench/apps. */
  app(name: string): string {
    return pathOf(`apps/${name}.cjs`);
  }

  /** A temporary directory for logs. */
  get directory(): string {
    this.#directory ??= mkdtempSync(join(tmpdir(), 'tsunicorn-bench-'));
    return this.#directory;
  }

  /** Runs one burst in the generator. Throws when a request failed: a server that loses requests is not fast. */
  async burst(job: Job): Promise<number> {
    this.#generator ??= fork(pathOf('load.ts'));
    const generator = this.#generator;
    const { promise, resolve, reject } = Promise.withResolvers<Outcome>();
    const died = (): void => reject(new Error('the load generator died'));
    generator.once('exit', died).once('message', (outcome: Outcome) => resolve(outcome));
    generator.send(job);
    const { answered, failed } = await promise.finally(() => generator.off('exit', died));
    if (failed > 0) throw new Error(`${failed} of ${answered + failed} requests failed`);
    return answered;
  }

  async stop({ pid }: Server): Promise<void> {
    const child = this.#children.get(pid);
    if (child === undefined) return;
    const tree = treeOf(pid);
    child.kill('SIGTERM');
    const deadline = performance.now() + STOP_DEADLINE_MS;
    while (tree.some(isRunning) && performance.now() < deadline) await sleep(10);
    for (const one of tree) if (isRunning(one)) process.kill(one, 'SIGKILL');
    this.#children.delete(pid);
  }

  /** Ends everything that was started. */
  async dispose(): Promise<void> {
    await Promise.all([...this.#children.keys()].map((pid) => this.stop({ pid } as Server)));
    this.#generator?.kill('SIGKILL');
    this.#generator = undefined;
    if (this.#directory !== undefined) rmSync(this.#directory, { recursive: true, force: true });
    this.#directory = undefined;
  }

  async #start(
    args: readonly string[],
    environment: (port: number, adminPort: number) => Record<string, string>,
  ): Promise<Server> {
    const [port, adminPort] = await freePorts();
    const env = { PATH: process.env.PATH, ...environment(port, adminPort) };
    const spawnedAt = performance.now();
    // A group of its own: Ctrl-C is for this process, which then ends the servers in order.
    const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'ignore', 'inherit'], detached: true });
    if (child.pid === undefined) throw new Error(`cannot start ${args.join(' ')}`);
    this.#children.set(child.pid, child);
    await until200(port, '/', () => child.exitCode === null);
    return { pid: child.pid, port, adminPort, startMs: performance.now() - spawnedAt };
  }
}

async function until200(port: number, path: string, isAlive = (): boolean => true): Promise<void> {
  const deadline = performance.now() + START_DEADLINE_MS;
  while ((await statusOf(port, path)) !== 200) {
    if (!isAlive() || performance.now() > deadline) throw new Error(`no answer from port ${port}`);
    await sleep(POLL_MS);
  }
}

async function freePorts(): Promise<[number, number]> {
  const servers = [createServer(), createServer()];
  const ports = servers.map(async (server) => {
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return (server.address() as { port: number }).port;
  });
  const [port = 0, adminPort = 0] = await Promise.all(ports);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return [port, adminPort];
}
