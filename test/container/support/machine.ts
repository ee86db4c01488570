/** The machine that container tests need, and the engines on it. */
import { execFile } from 'node:child_process';
import { chmodSync, existsSync, lstatSync, mkdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const SUPPORT = fileURLToPath(new URL('./', import.meta.url));

/** Engines, images and downloads. It stays, so that the next run is faster; remove it to start afresh. */
export const DIRECTORY = join(tmpdir(), 'tsunicorn-containers');

/** Why container tests cannot run here; false where they can. */
export function skipReason(): string | false {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'needs Linux on x86-64';
  if (process.getuid?.() !== 0) return 'needs root, to install and run container engines';
  const release = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  if (!/^ID=debian$/m.test(release) || !/^VERSION_ID="12"$/m.test(release) || !existsSync('/usr/bin/apt-get')) {
    return 'needs Debian 12 with apt-get: the base images are made of its packages';
  }
  return false;
}

/** The working directory, mine alone: everything in it runs as root. */
export function claimDirectory(): void {
  mkdirSync(DIRECTORY, { recursive: true, mode: 0o700 });
  const { uid, mode } = lstatSync(DIRECTORY);
  if (uid !== 0 || (mode & 0o22) !== 0) throw new Error(`${DIRECTORY} must belong to root, with mode 0700`);
  chmodSync(DIRECTORY, 0o700); // a test run alone may have made it with the umask's mode
}

export interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Seconds after which it is killed. */
  readonly timeout?: number;
}

/** Runs a command to its end, whatever its exit code. */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<Result> {
  const { cwd = ROOT, env = {}, timeout = 300 } = options;
  const settings = { cwd, env: { ...process.env, ...env }, timeout: timeout * 1000, maxBuffer: 64 << 20 };
  return new Promise((resolve) => {
    execFile(command, args, settings, (error, stdout, stderr) => {
      const code = error ? (typeof error.code === 'number' ? error.code : 1) : 0;
      resolve({ code, stdout, stderr: error && stderr === '' ? error.message : stderr });
    });
  });
}

/** {@link run} for what has to succeed: its stdout. */
export async function must(command: string, args: readonly string[], options?: RunOptions): Promise<string> {
  const { code, stdout, stderr } = await run(command, args, options);
  if (code === 0) return stdout;
  const said = `${stdout}\n${stderr}`.trim().slice(-4000);
  throw new Error(`exit code ${code}: ${command} ${args.join(' ')}\n${said}`);
}

export type EngineCommand = 'install' | 'up-podman' | 'down-podman' | 'up-docker' | 'down-docker';

export async function engine(command: EngineCommand): Promise<void> {
  await must(join(SUPPORT, 'engine.sh'), [DIRECTORY, command], { timeout: 600 });
}

/** The command line of an engine, in its namespace. */
export function podmanCommand(): string[] {
  const pid = readFileSync(join(DIRECTORY, 'podman.pid'), 'utf8').trim();
  const enter = ['nsenter', `--mount=/proc/${pid}/ns/mnt`, `--wd=${ROOT}`, '--'];
  const conf = `CONTAINERS_CONF=${DIRECTORY}/containers.conf`;
  return [...enter, 'env', conf, 'podman', '--root', `${DIRECTORY}/store`, '--runroot', `${DIRECTORY}/runroot`];
}

/** What the daemon and its client need. */
export const DOCKER_ENV: Readonly<Record<string, string>> = {
  DOCKER_HOST: `unix://${DIRECTORY}/docker.sock`,
  DOCKER_CONFIG: `${DIRECTORY}/docker-config`,
  PATH: `${DIRECTORY}/docker/usr/bin:${process.env.PATH}`,
};

export type BaseImage = `slim-${number}` | `full-${number}` | 'nginx' | 'haproxy' | 'prometheus';

const IMAGE_OF = (kind: string): string => {
  const [name, major] = kind.split('-');
  if (name === 'slim') return `docker.io/library/node:${major}-bookworm-slim`;
  if (name === 'full') return `docker.io/library/node:${major}-bookworm`;
  if (name === 'nginx') return 'docker.io/library/nginx:stable';
  return name === 'haproxy' ? 'docker.io/library/haproxy:lts' : 'docker.io/prom/prometheus:latest';
};

/** Makes stand-ins for official images that an engine does not have yet. */
export async function baseImages(client: readonly string[], kinds: readonly BaseImage[], env = {}): Promise<void> {
  const [command = '', ...args] = client;
  for (const kind of kinds) {
    const there = await run(command, [...args, 'image', 'inspect', IMAGE_OF(kind)], { env });
    if (there.code !== 0) await must(join(SUPPORT, 'images.sh'), [DIRECTORY, kind, ...client], { env, timeout: 600 });
  }
}
