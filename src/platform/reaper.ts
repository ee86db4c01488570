/**
 * Reaps orphans: processes that apps left behind and the kernel handed to this process, because it is PID 1 of a
 * container or a child subreaper (prctl(2)). Node.js waits only for what it spawned itself, so they would stay zombies.
 */
import { join } from 'node:path/posix';
import type { Logger } from 'pino';
import { fileReader } from './kernel/read-file.ts';
import type { LoadedNative, Reaped } from './native/native.ts';
import { readdirSync } from './node-fs.ts';

export interface ReaperOptions {
  readonly loaded: LoadedNative;
  /** Its pid, and where SIGCHLD comes from. */
  readonly process: Pick<NodeJS.Process, 'pid' | 'on' | 'off'>;
  /** Whether libuv waits for this pid. To reap it would take its `exit` event away for good. */
  readonly isOurs: (pid: number) => boolean;
  /** Called for each orphan that was reaped. */
  readonly reaped: (orphan: Reaped) => void;
  /**
   * Milliseconds between two looks without a signal: the kernel's list may leave out a process while another of it
   * ends (proc(5), `/proc/pid/task/tid/children`), and the orphan's SIGCHLD has been used up then.
   */
  readonly intervalMs: number;
  readonly log: Pick<Logger, 'debug' | 'warn'>;
  /** Directory that stands for `/`. */
  readonly root?: string;
}

/** Begins to reap where that is this process's duty. Returns what undoes it. */
export function startReaper(options: ReaperOptions): () => void {
  const { loaded, process, isOurs, reaped, intervalMs, log, root } = options;
  const { native, problem } = loaded;
  if (!native) {
    if (process.pid === 1) log.warn(CANNOT_REAP(problem));
    return () => {};
  }
  if (process.pid !== 1 && !native.isChildSubreaper()) return () => {};

  // One SIGCHLD may stand for many ends (signal(7)), so each looks at all children.
  const look = (): void => {
    for (const pid of childrenOf(process.pid, root)) {
      const orphan = isOurs(pid) ? undefined : native.reapOrphan(pid);
      if (!orphan) continue;
      log.debug(orphan, 'reaped an orphan');
      reaped(orphan);
    }
  };
  process.on('SIGCHLD', look);
  const timer = setInterval(look, intervalMs).unref();
  look();
  return () => {
    process.off('SIGCHLD', look);
    clearInterval(timer);
  };
}

/**
 * The children of the main thread: the kernel gives orphans to it while it lives (find_alive_thread() in its
 * kernel/exit.c), and children of other threads are not handed over but spawned.
 *
 * @param root directory that stands for `/`
 */
export function childrenOf(pid: number, root = '/'): number[] {
  const read = fileReader(root);
  const listed = read(`/proc/${pid}/task/${pid}/children`);
  if (listed !== undefined) return listed.split(' ').map(Number).filter(Boolean);
  // A kernel without CONFIG_PROC_CHILDREN.
  return processes(root).filter((other) => parentIn(read(`/proc/${other}/stat`)) === pid);
}

function processes(root: string): number[] {
  try {
    return readdirSync(join(root, 'proc')).map(Number).filter(Boolean);
  } catch {
    return [];
  }
}

/** proc_pid_stat(5): `pid (comm) state ppid …`, where comm may hold blanks and parentheses. */
function parentIn(stat = ''): number {
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
}

const CANNOT_REAP = (problem: string): string =>
  `PID 1 has to reap orphaned processes, and the native part that does it cannot be loaded: zombies of the app's own child processes will pile up. Run npm run build where a C compiler (cc) is, on the same system as here, or let the container have an init (docker run --init). The cause: ${problem}`;
