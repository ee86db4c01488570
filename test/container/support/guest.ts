/** The image in a guest with a real cgroup v2 kernel: what guest.sh gets, and what it says. */
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DIRECTORY, must, ROOT } from './machine.ts';
import { IMAGE, podman, tryPodman } from './podman.ts';

const MIB = 1024 * 1024;

export const NODE = ['node', '/opt/tsunicorn/dist/main.js'];

export interface Bundle {
  /** Cores. The guest has one CPU, so more workers come from TSUNICORN_WORKERS_PER_CPU. */
  readonly cpu?: number;
  /** MiB. */
  readonly memory?: number;
  readonly env?: readonly string[];
}

export interface Said {
  readonly text: string;
  readonly exit: number;
}

/** A folder for cases; gives what crun's own default is. */
export async function emptyFolder(folder: string): Promise<string> {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  await must('crun', ['spec'], { cwd: folder });
  const spec = readFileSync(join(folder, 'config.json'), 'utf8');
  rmSync(join(folder, 'config.json'));
  return spec;
}

/** What crun wants, from its own default. */
export function bundle(spec: string, name: string, { cpu, memory, env = [] }: Bundle, args: readonly string[]): string {
  const config = JSON.parse(spec);
  const path = 'PATH=/usr/local/bin:/usr/bin:/bin';
  const capabilities = Object.fromEntries(Object.keys(config.process.capabilities).map((set) => [set, []]));
  Object.assign(config.process, {
    terminal: false,
    cwd: '/app',
    args,
    noNewPrivileges: true,
    rlimits: [],
    capabilities,
  });
  Object.assign(config.process, { user: { uid: 10001, gid: 10001 }, env: [path, 'TSUNICORN_LOG_FORMAT=json', ...env] });
  config.root = { path: 'rootfs', readonly: true };
  config.mounts.push({ destination: '/tmp', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'nodev'] });
  config.linux.resources = {
    ...(cpu && { cpu: { quota: cpu * 100_000, period: 100_000 } }),
    ...(memory && { memory: { limit: memory * MIB } }),
  };
  const others = config.linux.namespaces.filter(
    ({ type }: { type: string }) => type !== 'network' && type !== 'cgroup',
  );
  config.linux.namespaces = [...others, { type: 'cgroup' }];
  config.linux.cgroupsPath = `/${name}`;
  return JSON.stringify(config);
}

/**
 * Runs all cases, and gives the whole console.
 *
 * @param files of the project, to folders of the image
 */
export async function runGuest(
  folder: string,
  files: Readonly<Record<string, string>>,
  { seconds = 240, env = {} }: { seconds?: number; env?: Readonly<Record<string, string>> } = {},
): Promise<string> {
  const tar = join(DIRECTORY, 'rootfs.tar');
  const name = `tsunicorn-export-${process.pid}`;
  await podman('create', '--pull=never', '--network=none', `--name=${name}`, IMAGE);
  for (const [from, to] of Object.entries(files)) await podman('cp', `${ROOT}${from}`, `${name}:${to}`);
  await podman('export', `--output=${tar}`, name);
  await tryPodman(['rm', name]);
  const script = join(ROOT, 'test/container/support/guest.sh');
  const said = await must(script, [DIRECTORY, tar, folder], { timeout: seconds, env });
  rmSync(tar);
  return said;
}

/** Why there was no guest: some CPUs have registers that user-mode Linux cannot restore, and it panics before init. */
export function guestProblem(said: string): string | undefined {
  const ran = /^controllers:/m.test(said);
  return !ran && /put_fp_registers|Kernel panic/.test(said)
    ? 'user-mode Linux panics on this CPU, before init'
    : undefined;
}

/** What each case printed. */
export function* cases(said: string): Iterable<readonly [string, Said]> {
  for (const [, key = '', text = '', exit] of said.matchAll(/^=== (\S+)\r?\n(.*?)^=== exit (\d+)/gms)) {
    yield [key, { text, exit: Number(exit) }];
  }
}
