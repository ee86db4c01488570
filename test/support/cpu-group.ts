/** A real CPU quota: a child of the cgroup v1 cpu hierarchy. The `memory` hierarchy is never touched. */
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isRunning } from './server.ts';
import { waitFor } from './wait.ts';

export const CPU_V1 = '/sys/fs/cgroup/cpu';
export const NEEDS = `needs root and a writable cgroup v1 cpu hierarchy at ${CPU_V1}`;

const PERIOD_US = 100_000;

let made = 0;

export class CpuGroup {
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  /** Undefined where this machine has none to give. `t.after` ends what is in it, and removes it. */
  static make(t: { after(fn: () => unknown): void }, cores: number): CpuGroup | undefined {
    const directory = join(CPU_V1, `tsunicorn-test-${process.pid}-${Date.now()}-${made++}`);
    try {
      mkdirSync(directory);
      writeFileSync(join(directory, 'cpu.cfs_period_us'), String(PERIOD_US));
    } catch {
      return undefined;
    }
    t.after(() => {
      // Where the test failed its server is still there, and its own hook may be due only after this one.
      for (const pid of members(directory)) process.kill(pid, 'SIGKILL');
      return waitFor(`${directory} is removed`, () => removed(directory));
    });
    const group = new CpuGroup(directory);
    group.setQuota(cores);
    return group;
  }

  setQuota(cores: number): void {
    writeFileSync(join(this.#directory, 'cpu.cfs_quota_us'), String(cores * PERIOD_US));
  }

  /** For StartOptions: the shell enters the group and becomes the server. */
  get wrapper(): string[] {
    return ['sh', '-c', `echo $$ > ${this.#directory}/cgroup.procs && exec "$@"`, 'sh'];
  }
}

function members(directory: string): number[] {
  const pids = readFileSync(join(directory, 'cgroup.procs'), 'utf8').split('\n').map(Number);
  return pids.filter((pid) => pid > 0 && isRunning(pid));
}

function removed(directory: string): boolean {
  try {
    rmdirSync(directory);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EBUSY') return false;
    throw error;
  }
}
