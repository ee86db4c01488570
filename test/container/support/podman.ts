/** Containers under podman, for tests: hardened unless told otherwise, gone when the test is over. */
import { waitFor } from '../../support/wait.ts';
import { must, podmanCommand, type Result, type RunOptions, run } from './machine.ts';

export const IMAGE = 'localhost/tsunicorn:latest';
export const NGINX_IMAGE = 'localhost/tsunicorn-nginx:latest';

/** As strict as Kubernetes' "restricted": podman's own /run and /var/tmp are off too. */
export const HARDENED = [
  '--read-only',
  '--read-only-tmpfs=false',
  '--tmpfs=/tmp',
  '--cap-drop=ALL',
  '--security-opt=no-new-privileges',
];

/** The engine says this on a machine without systemd: it cannot run health checks by a timer. */
const NOISE = /^.*(systemd connection|CNI config).*\n/gm;

/** Long for any of them; an engine that hangs must not hold up the others. */
const TIMEOUT_S = 60;
const BUILD_TIMEOUT_S = 600;

export interface Cleaner {
  after(fn: () => unknown): void;
}

const stacks = new WeakMap<Cleaner, (() => unknown)[]>();

/** `t.after` in the reverse order: what came last goes first, such as a container before its volume. */
export function later(t: Cleaner, undo: () => unknown): void {
  const stack = stacks.get(t) ?? [];
  if (!stacks.has(t)) {
    stacks.set(t, stack);
    t.after(async () => {
      for (const step of stack.reverse()) await step();
    });
  }
  stack.push(undo);
}

export async function podman(...args: string[]): Promise<string> {
  const [command = '', ...rest] = podmanCommand();
  return await must(command, [...rest, ...args], { timeout: args[0] === 'build' ? BUILD_TIMEOUT_S : TIMEOUT_S });
}

export async function tryPodman(args: readonly string[], options: RunOptions = {}): Promise<Result> {
  const [command = '', ...rest] = podmanCommand();
  const result = await run(command, [...rest, ...args], { timeout: TIMEOUT_S, ...options });
  return { ...result, stderr: result.stderr.replace(NOISE, '') };
}

export interface BuildOptions {
  readonly context: string;
  readonly tag: string;
  readonly args?: readonly string[];
}

/** `--format docker` keeps HEALTHCHECK. */
export async function build({ context, tag, args = [] }: BuildOptions): Promise<string> {
  return await podman('build', '--pull=never', '--network=host', '--format=docker', '-t', tag, ...args, context);
}

export interface ContainerOptions {
  readonly image?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Options of `podman run`. */
  readonly args?: readonly string[];
  readonly command?: readonly string[];
  readonly network?: 'host' | 'none';
}

let count = 0;

export class Container {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }

  /** Starts it in the background; `t.after` removes it. */
  static async start(t: Cleaner, options: ContainerOptions = {}): Promise<Container> {
    const { image = IMAGE, env = {}, args = [], command = [], network = 'none' } = options;
    const container = new Container(`tsunicorn-${process.pid}-${++count}`);
    later(t, () => container.remove());
    const environment = Object.entries(env).map(([name, value]) => `--env=${name}=${value}`);
    const how = ['--pull=never', `--network=${network}`, ...HARDENED, ...environment, ...args];
    await podman('run', '--detach', `--name=${container.name}`, ...how, image, ...command);
    return container;
  }

  /** Both streams. */
  async logs(): Promise<string> {
    const { stdout, stderr } = await tryPodman(['logs', this.name]);
    return stdout + stderr;
  }

  async untilLogged(text: string, times = 1): Promise<void> {
    let log = '';
    await waitFor(
      `${times} × "${text}" in the log`,
      async () => {
        log = await this.logs();
        return log.split(text).length > times;
      },
      { seconds: 60, state: () => log.slice(-4000) },
    );
  }

  async exec(...command: string[]): Promise<string> {
    return await podman('exec', this.name, ...command);
  }

  async signal(signal: string): Promise<void> {
    await podman('kill', `--signal=${signal}`, this.name);
  }

  /** As `docker stop`; resolves with the exit code. */
  async stop(seconds = 30): Promise<number> {
    await tryPodman(['stop', `--time=${seconds}`, this.name]);
    return Number(await podman('inspect', '--format={{.State.ExitCode}}', this.name));
  }

  /** Pids of the workers, inside. */
  async workers(): Promise<number[]> {
    const text = await this.exec('sh', '-c', 'cat /proc/1/task/1/children');
    return text.trim().split(/\s+/).filter(Boolean).map(Number);
  }

  async remove(): Promise<void> {
    await tryPodman(['rm', '--force', '--time=1', this.name]);
  }
}

/** A tmpfs for sockets that two containers share, owned by the image's user. */
export async function socketVolume(t: Cleaner): Promise<string> {
  const name = `tsunicorn-${process.pid}-sockets-${++count}`;
  const options = ['type=tmpfs', 'device=tmpfs', 'o=mode=0770,uid=10001,gid=10001'];
  await podman('volume', 'create', ...options.map((option) => `--opt=${option}`), name);
  later(t, () => tryPodman(['volume', 'rm', name]));
  return name;
}
