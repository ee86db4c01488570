/**
 * Reaps orphans: processes that apps left behind, and that the kernel reparented to this process because it is PID 1 of
 * a container or a child subreaper (prctl(2)). Node.js only waits for what it spawned, so they would stay zombies.
 */
import { join } from 'node:path/posix';
import type { Logger } from 'pino';
import { fileReader, statFields } from './kernel/read-file.ts';
import type { LoadedNative, Reaped } from './native/native.ts';
import { readdirSync } from './node-fs.ts';

/**
 * Between two looks without SIGCHLD: the kernel's list of children may omit one while another exits
 * (proc_tid_children(5)), and the omitted one's SIGCHLD is gone by then.
 */
const LOOK_MS = 5_000;

const CANNOT_REAP =
  'tsunicorn is PID 1 and cannot reap orphans: zombies of the processes that the app spawns will pile up. ' +
  'Run npm run build on this system with a C compiler (cc), or give the container an init (docker run --init). ' +
  'The native part cannot be loaded: ';

export interface ReaperOptions {
  readonly loaded: LoadedNative;
  readonly process: Pick<NodeJS.Process, 'pid' | 'on' | 'off'>;
  /** Whether libuv waits for this pid. Reaping such a child would lose its `exit` event. */
  readonly isOurs: (pid: number) => boolean;
  readonly reaped: (orphan: Reaped) => void;
  readonly log: Pick<Logger, 'debug' | 'warn'>;
  /** Directory that stands for `/`. */
  readonly root?: string;
}

/** Reaps from now on if this process is PID 1 or a subreaper. Returns what stops it. */
export function startReaper({ loaded, process, isOurs, reaped, log, root }: ReaperOptions): () => void {
  const { native, problem } = loaded;
  if (!native) {
    if (process.pid === 1) log.warn(CANNOT_REAP + problem);
    return () => {};
  }
  if (process.pid !== 1 && !native.isChildSubreaper()) return () => {};

  // One SIGCHLD may stand for several exits (signal(7)), so each one looks at all children.
  const look = (): void => {
    for (const pid of childrenOf(process.pid, root)) {
      const orphan = isOurs(pid) ? undefined : native.reapOrphan(pid);
      if (!orphan) continue;
      log.debug(orphan, 'reaped an orphan');
      reaped(orphan);
    }
  };
  process.on('SIGCHLD', look);
  const timer = setInterval(look, LOOK_MS).unref();
  look();
  return () => {
    process.off('SIGCHLD', look);
    clearInterval(timer);
  };
}

/**
 * The children of the main thread, to which the kernel reparents orphans (find_alive_thread() in kernel/exit.c).
 * Children of other threads are their own.
 *
 * @param root directory that stands for `/`
 */
export function childrenOf(pid: number, root = '/'): number[] {
  const read = fileReader(root);
  const listed = read(`/proc/${pid}/task/${pid}/children`);
  if (listed !== undefined) return listed.split(' ').map(Number).filter(Boolean);
  // A kernel without CONFIG_PROC_CHILDREN.
  return processes(root).filter((other) => Number(statFields(read, other)[1]) === pid);
}

function processes(root: string): number[] {
  try {
    return readdirSync(join(root, 'proc')).map(Number).filter(Boolean);
  } catch {
    return [];
  }
}
