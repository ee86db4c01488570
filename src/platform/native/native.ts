/**
 * Loads `tsunicorn.node`, which `npm run build` compiles from the C files here where there is a C compiler. tsunicorn
 * runs without it; each caller says what is lost then.
 */
import { fileURLToPath } from 'node:url';

/** A reaped orphan's exit: either `code` or `signal` (a number) is null. */
export interface Reaped {
  readonly pid: number;
  readonly code: number | null;
  readonly signal: number | null;
}

export interface Native {
  /** waitpid(2) with WNOHANG. Undefined if the child still runs, or if `pid` is not a child of this process. */
  reapOrphan(pid: number): Reaped | undefined;
  /** PR_SET_CHILD_SUBREAPER (prctl(2)): this process inherits orphaned descendants. Survives execve(2). */
  setChildSubreaper(): void;
  isChildSubreaper(): boolean;
  /**
   * When `parent` dies, this process has `graceSeconds` (an integer, at least 1) to exit; then SIGALRM ends it,
   * whatever its JavaScript does. A stopped process is resumed. A later change of user or group clears it
   * (PR_SET_PDEATHSIG, prctl(2)).
   */
  dieWithParent(parent: number, graceSeconds: number): void;
  /** Sends a datagram to a unix socket, a path or `@name` (sd_notify(3)). Returns 0 or the errno; blocks ≤ 250 ms. */
  notify(socketPath: string, message: string): number;
  /**
   * From now on {@link stackSignal} makes this process write its JavaScript stack to the socket `fd`, even while its
   * event loop is stuck: one frame a line, then a NUL. An idle process, or one in a native call, does not answer.
   * Returns why this Node.js cannot do it, or undefined.
   */
  reportStacks(fd: number): string | undefined;
  /**
   * From now on this process writes to the socket `fd` when V8 is out of memory, before Node.js aborts: `!heap ` or
   * `!process ` (the system has no memory left), V8's location, and a NUL. Returns why it cannot be done, or undefined.
   */
  reportOutOfMemory(fd: number): string | undefined;
  /** The number of a real-time signal. It kills a process that has not called {@link reportStacks}. */
  readonly stackSignal: number;
  /** Connections waiting on the listening unix socket with this inode; undefined where the kernel does not tell. */
  unixAcceptQueue(inode: number): number | undefined;
  /**
   * write(2) that never blocks, without O_NONBLOCK on a shared descriptor. Returns the bytes written, 0 if there is no
   * room, undefined if the kernel cannot do it for this descriptor. Throws if the write fails.
   */
  writeNow(fd: number, bytes: Uint8Array): number | undefined;
  /** listen(2). Returns 0 or the errno. */
  listenWithoutAccepting(fd: number, backlog: number): number;
  /**
   * SO_ATTACH_REUSEPORT_CBPF (socket(7)): from now on `program`, an array of struct sock_filter, chooses among the sockets
   * that share the port of `fd`. Returns 0 or the errno.
   */
  attachReusePortFilter(fd: number, program: Uint8Array): number;
  /** _exit(2): ends the process at once, whatever its threads wait for. */
  exitNow(status: number): never;
  /**
   * From now on this thread, and those it starts, can write to a terminal from the background under `stty tostop`, where
   * the kernel would answer each write with SIGTTOU. A SIGTTOU from elsewhere still arrives.
   */
  writeFromBackground(): void;
  /** malloc_trim(3): gives the kernel back the free memory that glibc keeps. */
  trimMemory(): void;
}

/** `problem` is why it cannot be loaded: not built, or built for another machine. */
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
