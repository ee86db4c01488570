/** Reads what stack.c and out-of-memory.c report about a worker whose event loop cannot. */
import type { Readable } from 'node:stream';
import { fileReader, statFields } from '../kernel/read-file.ts';

/** V8 ran out of memory: of its `heap`, or the `process` got none from the system. `where` is V8's location. */
export interface OutOfMemory {
  readonly of: 'heap' | 'process';
  readonly where: string;
}

/** Above the longest message of the C files. */
const LONGEST_MESSAGE = 16_384;

/** The arbiter's end of the socket that one worker's native part writes to. */
export class DiagnosticSocket {
  outOfMemory: OutOfMemory | undefined;
  readonly #waiting = new Set<(stack: string | undefined) => void>();
  #rest = '';

  constructor(socket: Readable) {
    socket.setEncoding('utf8').on('data', (text: string) => this.#read(text));
    socket.on('error', () => {}); // the worker has died; its exit is reported elsewhere
  }

  /**
   * The JavaScript stack of `pid`, one frame a line. Undefined if it does not answer within `waitMs`: it is idle, or in
   * a native call. `signal` is `Native.stackSignal`.
   */
  async stack({ pid, signal, waitMs }: { pid: number; signal: number; waitMs: number }): Promise<string | undefined> {
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    const timer = setTimeout(() => resolve(undefined), waitMs);
    this.#waiting.add(resolve);
    try {
      process.kill(pid, signal);
      return await promise;
    } catch {
      return undefined; // ESRCH: it has just died
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(resolve);
    }
  }

  #read(text: string): void {
    const messages = (this.#rest + text).split('\0');
    this.#rest = (messages.pop() ?? '').slice(-LONGEST_MESSAGE);
    for (const message of messages) {
      const [, of, where] = /^!(heap|process) (.*)$/s.exec(message) ?? [];
      if (where !== undefined) this.outOfMemory = { of: of as OutOfMemory['of'], where };
      else for (const answer of this.#waiting) answer(message || undefined);
    }
  }
}

/** By the letter of proc_pid_stat(5). */
const STATES: Readonly<Record<string, string>> = {
  R: 'running',
  S: 'sleeping',
  D: 'waiting for a device or a network file system',
  T: 'stopped by a signal',
  t: 'stopped by a debugger',
  Z: 'ended',
};

/** In words; undefined if there is no such process. @param root directory that stands for `/` */
export function processState(pid: number, root = '/'): string | undefined {
  const [letter] = statFields(fileReader(root), pid);
  return letter === undefined ? undefined : (STATES[letter] ?? letter);
}
