/** Asks a process for its JavaScript stack: the asking side of native/stack.c. */
import type { Readable } from 'node:stream';
import { fileReader } from './read-file.ts';

/**
 * The frames of the JavaScript that `pid` runs right now, one a line. Undefined where there is no answer within
 * `waitMs`: it is idle, or in a call of native code. `signal` is the native part's `stackSignal`.
 */
export async function askForStack(
  { pid, signal, waitMs }: { readonly pid: number; readonly signal: number; readonly waitMs: number },
  socket: Readable,
): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  let text = '';
  const read = (chunk: Buffer): void => {
    text += chunk.toString();
    if (text.endsWith('\0')) resolve(text.slice(0, -1) || undefined);
  };
  const timer = setTimeout(() => resolve(undefined), waitMs);
  socket.on('data', read);
  try {
    process.kill(pid, signal);
    return await promise;
  } catch {
    return undefined; // ESRCH: it has just ended
  } finally {
    clearTimeout(timer);
    socket.off('data', read);
  }
}

/** What the kernel says of a process, by the letter of proc_pid_stat(5). */
const STATES: Readonly<Record<string, string>> = {
  R: 'running',
  S: 'sleeping',
  D: 'waiting for a device or a network file system',
  T: 'stopped by a signal',
  t: 'stopped by a debugger',
  Z: 'ended',
};

/** In words; undefined where there is no such process. @param root directory that stands for `/` */
export function processState(pid: number, root = '/'): string | undefined {
  const stat = fileReader(root)(`/proc/${pid}/stat`);
  const letter = stat?.[stat.lastIndexOf(')') + 2];
  return letter === undefined ? undefined : (STATES[letter] ?? letter);
}
