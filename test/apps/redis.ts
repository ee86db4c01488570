/** A Redis of its own for a test; Debian's, which is installed where that is possible. */
import { execFile, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

/** Why there is no Redis here; false where there is one, or one can be installed. */
export function skipReason(): string | false {
  if (isInstalled()) return false;
  if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) return 'needs redis-server, or root on Debian';
  return false;
}

function isInstalled(): boolean {
  try {
    execFileSync('redis-server', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Its URL. Nothing is kept on disk; `t.after` ends it. */
export async function startRedis(t: { after(fn: () => unknown): void }): Promise<string> {
  if (!isInstalled()) await installRedis();
  const port = await freePort();
  const directory = mkdtempSync(join(tmpdir(), 'tsunicorn-redis-'));
  const args = ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', directory];
  const redis = spawn('redis-server', args, { stdio: 'ignore' });
  const exited = new Promise((resolve) => redis.once('close', resolve));
  t.after(async () => {
    redis.kill('SIGKILL');
    await exited;
    rmSync(directory, { recursive: true, force: true });
  });
  await waitFor('Redis answers', () => accepts(port));
  return `redis://127.0.0.1:${port}`;
}

async function installRedis(): Promise<void> {
  // In runlevel 1 the package starts no service (invoke-rc.d(8)).
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  const apt = async (...args: readonly string[]): Promise<void> => {
    await promisify(execFile)('apt-get', ['-qq', '-o', 'DPkg::Lock::Timeout=300', ...args], { env, timeout: 600_000 });
  };
  await apt('update');
  await apt('-y', '--no-install-recommends', 'install', 'redis-server');
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
