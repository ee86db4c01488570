/**
 * Calls that may wait for ever in a thread of libuv's pool: a write to a terminal under XOFF or to a socket or pipe that
 * has no reader, a lookup that no name server answers. process.exit() joins those threads, so it would not return either.
 */
import { loadNative } from './native/native.ts';
import { write } from './node-fs.ts';

export type Written = (error: NodeJS.ErrnoException | null, written: number) => void;

/** A write that has room needs a fraction of it, also where the CPU is busy. */
const LAST_CHANCE_MS = 100;

let waiting = 0;

export function writeInThread(fd: number, bytes: Buffer, done: Written): void {
  waiting++;
  write(fd, bytes, 0, bytes.length, null, (error, written) => {
    waiting--;
    done(error, written);
  });
}

/** Counts `call`, which waits in a thread. */
export function inThread<T>(call: Promise<T>): Promise<T> {
  waiting++;
  return call.finally(() => void waiting--);
}

/**
 * Call it right before process.exit(): it adds the last listener of 'exit'. If a thread still waits then, _exit(2) ends
 * the process; without the native part SIGKILL does, which loses the exit status.
 */
export function exitDespiteWrites(process: NodeJS.Process): void {
  if (waiting === 0) return;
  process.once('exit', (code) => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LAST_CHANCE_MS);
    const { native } = loadNative();
    if (native) native.exitNow(Number(process.exitCode ?? code));
    else process.kill(process.pid, 'SIGKILL');
  });
}
