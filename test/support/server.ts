/** A real tsunicorn for process tests: started on free ports, watched through its log, ended by pid. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { waitFor } from './wait.ts';

export const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
const APPS = fileURLToPath(new URL('../fixtures/apps/', import.meta.url));

export interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly pid: number;
  readonly [key: string]: unknown;
}

export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers: http.IncomingHttpHeaders;
}

export interface StartOptions {
  /** Below test/fixtures/apps, or an absolute path. */
  readonly app?: string;
  readonly env?: Record<string, string | undefined>;
  readonly args?: readonly string[];
  /** Another Node.js than this one. */
  readonly node?: string;
  /** Flags for the Node.js that runs the arbiter. */
  readonly nodeArgs?: readonly string[];
  /** Put before the command, for example `taskset -c 0`. */
  readonly wrapper?: readonly string[];
  readonly detached?: boolean;
}

export class TestServer {
  readonly port: number;
  readonly adminPort: number;
  readonly directory: string;
  readonly child: ChildProcess;
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  exitCode: number | null | undefined;
  stdout = '';
  stderr = '';

  constructor(port: number, adminPort: number, directory: string, child: ChildProcess) {
    this.port = port;
    this.adminPort = adminPort;
    this.directory = directory;
    this.child = child;
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    this.exited = new Promise((resolve) => {
      child.once('close', (code, signal) => {
        this.exitCode = code;
        resolve({ code, signal });
      });
    });
  }

  get pid(): number {
    if (this.child.pid === undefined) throw new Error('the server did not start');
    return this.child.pid;
  }

  /** The server log so far. */
  get log(): LogLine[] {
    return jsonLines(this.stderr) as unknown as LogLine[];
  }

  /** The access log so far, where it goes to stdout. */
  get access(): Record<string, unknown>[] {
    return jsonLines(this.stdout);
  }

  logged(text: string | RegExp): LogLine[] {
    return this.log.filter(({ msg }) => (typeof text === 'string' ? msg.includes(text) : text.test(msg)));
  }

  async untilLogged(text: string | RegExp, count = 1, seconds?: number): Promise<LogLine> {
    const what = `${count} × ${text} in the log`;
    const lines = await waitFor(what, () => this.logged(text).length >= count && this.logged(text), {
      state: () => this.stderr.slice(-4000),
      ...(seconds === undefined ? {} : { seconds }),
    });
    return lines[count - 1] as LogLine;
  }

  async ready(seconds?: number): Promise<this> {
    await waitFor(
      'the server is ready',
      async () => {
        if (this.exitCode !== undefined) throw new Error(`the server ended with ${this.exitCode}\n${this.stderr}`);
        return (await this.admin('/readyz').catch(() => undefined))?.status === 200;
      },
      { state: () => this.stderr.slice(-4000), ...(seconds === undefined ? {} : { seconds }) },
    );
    return this;
  }

  get(path = '/', options: http.RequestOptions & { body?: string | Buffer } = {}): Promise<Answer> {
    return request({ host: '127.0.0.1', port: this.port, path, ...options });
  }

  admin(path: string): Promise<Answer> {
    return request({ host: '127.0.0.1', port: this.adminPort, path });
  }

  /** The value of one series; 0 where it is not there (yet). */
  async metric(series: string): Promise<number> {
    const { body } = await this.admin('/metrics');
    const line = body.split('\n').find((l) => l.startsWith(`${series} `));
    return line === undefined ? 0 : Number(line.slice(series.length + 1));
  }

  /** Pids of the workers that are alive, from the kernel. */
  workerPids(): number[] {
    return childrenOf(this.pid);
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** TERM, and the exit code. */
  async stop(): Promise<number | null> {
    this.signal('SIGTERM');
    return (await this.exited).code;
  }

  /** Whatever happened: nothing is left. */
  async dispose(): Promise<void> {
    const workers = this.exitCode === undefined ? this.workerPids() : [];
    this.child.kill('SIGKILL');
    for (const pid of workers) if (isRunning(pid)) process.kill(pid, 'SIGKILL');
    if (this.child.pid !== undefined) await this.exited;
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Starts a server; `t.after` ends it. */
export async function start(
  t: { after(fn: () => unknown): void },
  {
    app,
    env = {},
    args = [],
    node = process.execPath,
    nodeArgs = [],
    wrapper = [],
    detached = false,
  }: StartOptions = {},
): Promise<TestServer> {
  const port = await freePort();
  let adminPort = port; // the kernel may give the same one again
  while (adminPort === port) adminPort = await freePort();
  const directory = mkdtempSync(join(tmpdir(), 'tsunicorn-test-'));
  const [command = node, ...rest] = [...wrapper, node, ...nodeArgs, MAIN, ...args];
  const child = spawn(command, rest, {
    cwd: directory,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached,
    env: {
      PATH: process.env.PATH,
      TSUNICORN_BIND: `127.0.0.1:${port}`,
      TSUNICORN_ADMIN_BIND: `127.0.0.1:${adminPort}`,
      TSUNICORN_WORKERS: '2',
      TSUNICORN_LOG_FORMAT: 'json',
      ...(app === undefined ? {} : { TSUNICORN_APP: app.startsWith('/') ? app : APPS + app }),
      ...env,
    },
  });
  const server = new TestServer(port, adminPort, directory, child);
  t.after(() => server.dispose());
  return server;
}

/** Runs a command of the binary to its end. */
export async function run(
  t: { after(fn: () => unknown): void },
  options: StartOptions,
): Promise<{ code: number | null; stdout: string; stderr: string; log: LogLine[] }> {
  const server = await start(t, options);
  const { code } = await server.exited;
  return { code, stdout: server.stdout, stderr: server.stderr, log: server.log };
}

export interface RequestOptions extends http.RequestOptions {
  readonly body?: string | Buffer;
  /** All of it is with the kernel. */
  readonly onSent?: () => void;
}

export function request(options: RequestOptions): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const { body, onSent, ...rest } = options;
  const outgoing = http.request({ agent: false, ...rest }, (response) => {
    let text = '';
    response.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text, headers: response.headers }));
    response.on('error', reject);
  });
  outgoing.on('error', reject);
  if (onSent) outgoing.on('finish', onSent);
  outgoing.end(body);
  return promise;
}

/** Below the ports that the kernel gives to outgoing connections (ip_local_port_range, 32768 and up, ip(7)). */
const PORTS = { from: 15_000, to: 32_000 };

/**
 * A port without a listener. At random, so that test files that run at the same time rarely pick the same; and not
 * the kernel's choice, which a client's connection may have a moment later.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = PORTS.from + Math.floor(Math.random() * (PORTS.to - PORTS.from));
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!isFree) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}

export function childrenOf(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
    return text
      .split(' ')
      .map(Number)
      .filter((child) => child > 0 && isRunning(child));
  } catch {
    return [];
  }
}

/** Server-side sockets of established connections, accepted or not: state 01 of /proc/net/tcp (proc(5)). */
export function established(port: number): number {
  const local = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const rows = readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/));
  return rows.filter(([, address, , state]) => address?.endsWith(local) && state === '01').length;
}

/**
 * Alive and not a zombie: under a foreign PID 1 a dead process may stay in the table. One whose other threads have yet to
 * end is a zombie already, and nobody can wait for it yet.
 */
export function isRunning(pid: number): boolean {
  try {
    const state = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '')[0];
    return state === 'Z' ? readdirSync(`/proc/${pid}/task`).length > 1 : state !== 'X';
  } catch {
    return false;
  }
}

function jsonLines(text: string): Record<string, unknown>[] {
  return text.split('\n').flatMap((line) => {
    try {
      return line.startsWith('{') ? [JSON.parse(line)] : [];
    } catch {
      return [];
    }
  });
}
