/** What a process tells of itself when its event loop cannot: the reading side of native/stack.c and out-of-memory.c. */
import type { Readable } from 'node:stream';
import { fileReader } from '../kernel/read-file.ts';

/** V8 was out of memory: in its `heap`, or the `process` got none from the system. `where` is V8's word for it. */
export interface OutOfMemory {
  readonly of: 'heap' | 'process';
  readonly where: string;
}

/** Above the longest that native/ sends: what has no end by then is none of ours. */
const LONGEST_MESSAGE = 16_384;

/** The arbiter's end of the socket that the native part of one worker writes to. */
export class DiagnosticSocket {
  outOfMemory: OutOfMemory | undefined;
  readonly #asking = new Set<(stack: string | undefined) => void>();
  #rest = '';

  constructor(socket: Readable) {
    socket.setEncoding('utf8').on('data', (text: string) => this.#read(text));
    socket.on('error', () => {}); // the process is gone, and its exit is reported on its own
  }

  /**
   * The frames of the JavaScript that `pid` runs right now, one a line. Undefined where there is no answer within
   * `waitMs`: it is idle, or in a call of native code. `signal` is the native part's `stackSignal`.
   */
  async stack({ pid, signal, waitMs }: { pid: number; signal: number; waitMs: number }): Promise<string | undefined> {
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    const timer = setTimeout(() => resolve(undefined), waitMs);
    this.#asking.add(resolve);
    try {
      process.kill(pid, signal);
      return await promise;
    } catch {
      return undefined; // ESRCH: it has just ended
    } finally {
      clearTimeout(timer);
      this.#asking.delete(resolve);
    }
  }

  /** Each message ends with a NUL. */
  #read(text: string): void {
    const messages = (this.#rest + text).split('\0');
    this.#rest = (messages.pop() ?? '').slice(-LONGEST_MESSAGE);
    for (const message of messages) {
      const [, of, where] = /^!(heap|process) (.*)$/s.exec(message) ?? [];
      if (where !== undefined) this.outOfMemory = { of: of as OutOfMemory['of'], where };
      else for (const answered of this.#asking) answered(message || undefined);
    }
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
