/** How long a process wanted to run and could not: others ran, or its cgroup's CPU quota was used up. */
import { fileReader, type ReadFile } from './read-file.ts';

const NS_PER_MS = 1e6;

/** Milliseconds of the main thread since its birth. */
interface Schedule {
  readonly ran: number;
  /** Counted when the thread gets to run again, the time in which it was throttled included. */
  readonly waited: number;
}

/** Of one process. Where the kernel does not tell it is 0. */
export class CpuWait {
  readonly #pid: number;
  readonly #read: ReadFile;
  #before: Schedule = { ran: 0, waited: 0 };
  #at: number;
  /** Told already, of a wait that the kernel has not counted yet. */
  #ahead = 0;

  constructor(pid: number, now: number, root = '/') {
    this.#pid = pid;
    this.#read = fileReader(root);
    this.#at = now;
  }

  /** Milliseconds that it has waited since the last call. */
  take(now: number): number {
    const { ran, waited } = this.#schedule();
    const counted = waited - this.#before.waited;
    const elapsed = now - this.#at;
    const stoodStill = ran === this.#before.ran;
    this.#before = { ran, waited };
    this.#at = now;
    if (counted === 0 && stoodStill && ran > 0 && this.#isRunnable()) {
      // It has waited all the while, and does so still.
      this.#ahead += elapsed;
      return elapsed;
    }
    const wait = Math.max(0, counted - this.#ahead);
    this.#ahead = 0;
    return wait;
  }

  /** proc_pid_schedstat(5), and "Scheduler Statistics" of the kernel documentation: nanoseconds. */
  #schedule(): Schedule {
    const [ran, waited] = (this.#read(`/proc/${this.#pid}/schedstat`) ?? '').split(' ').map(Number);
    return { ran: (ran ?? 0) / NS_PER_MS || 0, waited: (waited ?? 0) / NS_PER_MS || 0 };
  }

  /** The state is R also while it waits for a CPU (proc_pid_stat(5)). */
  #isRunnable(): boolean {
    return /^.*\) R /s.test(this.#read(`/proc/${this.#pid}/stat`) ?? '');
  }
}
