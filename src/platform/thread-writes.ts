/**
 * Writes to descriptors that may have no room for ever: a terminal under XOFF, a socket or a pipe that nobody reads. Each
 * waits in a thread of libuv's pool, and process.exit() joins those threads, so it would not return either.
 */
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

/**
 * To be called right before process.exit(), so that it comes after all other listeners of 'exit'. Where a write still
 * waits then, another program takes the place of this process, threads and all, and ends with its status: JavaScript has
 * no _exit(2).
 */
export function exitDespiteWrites(process: NodeJS.Process): void {
  if (waiting === 0) return;
  process.once('exit', (code) => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LAST_CHANCE_MS);
    const { execPath, env } = process;
    const status = process.exitCode ?? code;
    try {
      const program = `process.exitCode = ${status}`;
      process.execve?.(execPath, [execPath, '--eval', program], { ...env, NODE_OPTIONS: '' });
    } catch {
      // the binary has been replaced: whoever waits for the end of this process has to kill it
    }
  });
}
