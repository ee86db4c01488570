/**
 * Loads the native part, `tsunicorn.node` beside this file, which `npm run build` makes from native/*.c where there is
 * a C compiler. tsunicorn runs without it; who needs it says what is lost then.
 */
import { fileURLToPath } from 'node:url';

/** How an orphan ended: one of `code` and `signal` (a number) is null. */
export interface Reaped {
  readonly pid: number;
  readonly code: number | null;
  readonly signal: number | null;
}

export interface Native {
  /** waitpid(2) with WNOHANG: undefined for a child that still runs and for what is no child of this process. */
  reapOrphan(pid: number): Reaped | undefined;
  /** Orphans below this process become its children. Kept over execve(2), not inherited by children (prctl(2)). */
  setChildSubreaper(): void;
  isChildSubreaper(): boolean;
  /**
   * Once `parent` is gone this process has `graceSeconds` (a whole number, at least 1) to end by itself; then SIGALRM
   * ends it, whatever its JavaScript does. A process that is stopped goes on first. A change of user or group afterwards clears it (PR_SET_PDEATHSIG, prctl(2)).
   */
  dieWithParent(parent: number, graceSeconds: number): void;
  /** One datagram to a unix socket, a path or `@name` (sd_notify(3)). Returns 0 or the errno; waits 250 ms at most. */
  notify(socketPath: string, message: string): number;
  /**
   * From now on {@link stackSignal} makes this process send the frames of its JavaScript, one a line and a NUL behind
   * them, to the socket `fd`, also while its event loop is stuck. There is no answer from an idle process, or from one
   * in a native call. Answers why it cannot be done, undefined where it can.
   */
  reportStacks(fd: number): string | undefined;
  /**
   * From now on this process says over the socket `fd` that V8 is out of memory, before Node.js aborts it for that:
   * `!heap ` or `!process ` (the system has none to give), V8's words for where, and a NUL. Answers why it cannot be
   * done, undefined where it can.
   */
  reportOutOfMemory(fd: number): string | undefined;
  /** A real-time signal's number. It ends a process that has not called {@link reportStacks}. */
  readonly stackSignal: number;
  /** Connections that wait on the listening unix socket with this inode; undefined where the kernel does not tell. */
  unixAcceptQueue(inode: number): number | undefined;
  /**
   * write(2) that does not wait, though others who have the descriptor may: the bytes that were taken, 0 where there is
   * no room, undefined where the kernel cannot do it for such a descriptor. Throws where writing fails.
   */
  writeNow(fd: number, bytes: Uint8Array): number | undefined;
  /** _exit(2): ends the process at once, whatever its threads wait for. */
  exitNow(status: number): never;
  /**
   * From now on this thread, and those it starts, write to a terminal also in the background under `stty tostop`, where
   * the kernel would answer each write with SIGTTOU. A SIGTTOU from elsewhere still arrives.
   */
  writeFromBackground(): void;
  /** Gives memory that was freed back to the kernel, which malloc(3) of glibc would keep (malloc_trim(3)). */
  trimMemory(): void;
}

/** `problem` says for people why it is not there: not built, or built for another machine. */
export type LoadedNative =
  | { readonly native: Native; readonly problem?: undefined }
  | { readonly native?: undefined; readonly problem: string };

const FILE = fileURLToPath(new URL('tsunicorn.node', import.meta.url));

/** Never throws. */
export function loadNative(file = FILE): LoadedNative {
  const module = { exports: {} };
  try {
    process.dlopen(module, file);
    return { native: module.exports as Native };
  } catch (error) {
    return { problem: (error as Error).message };
  }
}
