/** Where log lines go: a file or a descriptor. A write never blocks the event loop and never holds up a request. */
import net from 'node:net';
import { isatty } from 'node:tty';
import { HaltServer } from '../../errors.ts';
import { loadNative } from '../../platform/native/native.ts';
import { closeSync, constants, fstatSync, openSync, write, writeSync } from '../../platform/node-fs.ts';
import { type Written, writeInThread } from '../../platform/thread-writes.ts';

/** Bytes kept for a reader that has stopped, before lines are dropped. */
const MAX_BUFFERED = 4 * 1024 * 1024;
/** How long the exit waits for a slow reader. */
const LAST_FLUSH_MS = 2_000;
/** A shared descriptor cannot be polled for room. */
const RETRY_MS = 10;
/** A file that cannot be opened is retried with the first line after this. */
const REOPEN_MS = 1_000;
/** Written blocks kept for reuse: one is being written, one is next. */
const MAX_SPARES = 2;
/** Writes up to PIPE_BUF are atomic on a pipe (pipe(7)). */
const PIPE_BUF = 4096;
/** Large enough that the thread hop of a write does not matter: four times the block of sonic-boom, pino's writer. */
const FILE_BLOCK = 64 * 1024;
/** open(2)'s usual mode: the umask decides. */
const FILE_MODE = 0o666;

const NEWLINE = 0x0a;

export type LogDestination = Pick<Destination, keyof Destination>;

export class Destination {
  readonly #target: string;
  readonly #fd: 1 | 2;
  #sink: LogSink;
  /** When to retry a file that could not be opened; undefined while it is open. */
  #reopenAt: number | undefined;
  /** The sink before a reopen, until its block is written. */
  #old: LogSink | undefined;
  readonly #waiting: Buffer[] = [];
  #waitingBytes = 0;
  /** What the sink has not yet taken of the current block; undefined between blocks. */
  #rest: Buffer | undefined;
  /** While `#rest` waits for room. */
  #retry: NodeJS.Timeout | undefined;
  #block: Buffer | undefined;
  readonly #spares: Buffer[] = [];
  #written: (() => void) | undefined;
  #closed = false;
  #dropped = 0;

  /**
   * `target` is a path, or `-` for the descriptor `fd`. Where a file cannot be opened, `lost` is called with the problem
   * and lines are dropped until it opens; without `lost` it throws HaltServer.
   */
  constructor(target: string, fd: 1 | 2, lost?: (problem: string) => void) {
    this.#target = target;
    this.#fd = fd;
    try {
      this.#sink = openSink(target, fd);
    } catch (error) {
      const cause = error as Error;
      const problem = `cannot open ${fd === 1 ? 'TSUNICORN_ACCESS_LOG' : 'TSUNICORN_ERROR_LOG'}: ${cause.message}${cureOf(cause)}`;
      if (!lost) throw new HaltServer(problem, 'config', { cause });
      lost(problem);
      this.#sink = lostSink(cause);
      this.#reopenAt = performance.now() + REOPEN_MS;
    }
  }

  /** Largest write, in bytes, that concurrent writers do not tear. */
  get blockSize(): number {
    return this.#sink.blockSize;
  }

  /** Keeps `bytes` until they are written: they must not change. */
  write(bytes: Buffer): void {
    if (this.#closed || this.#waitingBytes + bytes.length > MAX_BUFFERED) return this.#drop(bytes);
    if (this.#reopenAt !== undefined && performance.now() >= this.#reopenAt) this.reopen();
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    if (this.#rest === undefined) this.#next();
  }

  /** A written block of `size` bytes to reuse, if there is one. */
  spare(size: number): Buffer | undefined {
    const spare = this.#spares.pop();
    return spare?.length === size ? spare : undefined;
  }

  /** After logrotate has moved the file; no effect on stdout and stderr. */
  reopen(): void {
    if (this.#target === '-' || this.#target in STANDARD_STREAMS || this.#closed) return;
    let sink: LogSink;
    try {
      sink = openSink(this.#target, this.#fd);
    } catch {
      if (this.#reopenAt !== undefined) this.#reopenAt = performance.now() + REOPEN_MS;
      return; // the old file is better than none
    }
    this.#reopenAt = undefined;
    if (this.#rest === undefined) this.#sink.close();
    else this.#old ??= this.#sink;
    this.#sink = sink;
  }

  /** Waits {@link LAST_FLUSH_MS} at most until everything is written; the rest is dropped. */
  async close(): Promise<void> {
    if (this.#rest !== undefined) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#written = resolve;
      const timeout = setTimeout(resolve, LAST_FLUSH_MS);
      await promise;
      clearTimeout(timeout);
    }
    this.#closed = true;
    clearTimeout(this.#retry);
    for (const bytes of this.#takeAll(this.#rest)) this.#drop(bytes);
    this.#sink.close();
  }

  /** Before process.exit(): writes what can be written without waiting. */
  flushSync(): void {
    if (this.#closed) return;
    // A block that a thread or the loop is writing is not ours to write again.
    const blocks = this.#takeAll(this.#retry && this.#rest);
    clearTimeout(this.#retry);
    this.#retry = undefined;
    try {
      for (let block = blocks[0]; block; block = blocks[0]) {
        const taken = this.#sink.writeSync(block);
        if (taken === 0) break; // as EAGAIN
        if (taken < block.length) blocks[0] = block.subarray(taken);
        else blocks.shift();
      }
    } catch {
      // EAGAIN: the reader has stopped; any other error has nowhere to go
    }
    for (const bytes of blocks) this.#drop(bytes);
  }

  takeDropped(): number {
    const dropped = this.#dropped;
    this.#dropped = 0;
    return dropped;
  }

  #takeAll(rest: Buffer | undefined): Buffer[] {
    this.#waitingBytes = 0;
    return [...(rest ? [rest] : []), ...this.#waiting.splice(0)];
  }

  #next(): void {
    const block = this.#take();
    this.#block = block;
    this.#rest = block;
    if (block) this.#sink.write(block, this.#onWritten);
    else this.#written?.();
  }

  /** The next block; joins lines that were queued one by one. */
  #take(): Buffer | undefined {
    const first = this.#waiting.shift();
    if (first === undefined) return undefined;
    const parts = [first];
    let length = first.length;
    for (let next = this.#waiting[0]; next && length + next.length <= this.blockSize; next = this.#waiting[0]) {
      parts.push(next);
      length += next.length;
      this.#waiting.shift();
    }
    this.#waitingBytes -= length;
    return parts.length === 1 ? first : Buffer.concat(parts, length);
  }

  readonly #onWritten = (error: NodeJS.ErrnoException | null, written: number): void => {
    const rest = this.#rest;
    if (rest === undefined || this.#closed) return;
    const sink = this.#old ?? this.#sink;
    if (error?.code === 'EAGAIN' || (!error && written === 0)) {
      this.#retry = setTimeout(() => {
        this.#retry = undefined;
        sink.write(rest, this.#onWritten);
      }, RETRY_MS).unref();
      return;
    }
    // EPIPE, ENOSPC: serving continues without these lines.
    if (error) this.#drop(rest);
    else if (written < rest.length) {
      this.#rest = rest.subarray(written);
      return sink.write(this.#rest, this.#onWritten);
    }
    this.#old?.close();
    this.#old = undefined;
    // Not a slice of Node.js's buffer pool; spare() checks the exact size.
    const memory = this.#block?.buffer;
    if (memory && memory.byteLength > this.blockSize && this.#spares.length < MAX_SPARES) {
      this.#spares.push(Buffer.from(memory));
    }
    this.#next();
  };

  #drop(bytes: Buffer): void {
    for (const byte of bytes) if (byte === NEWLINE) this.#dropped++;
  }
}

/** Takes one block at a time: the next after `done`. */
interface LogSink {
  readonly blockSize: number;
  /** `done` gets the number of bytes taken: 0 where there is no room now. */
  write(bytes: Buffer, done: Written): void;
  /** Returns the number of bytes taken; throws as write(2) fails. */
  writeSync(bytes: Buffer): number;
  close(): void;
}

/** What `-` stands for, as other servers are told it. Opened by name they would be refused to `TSUNICORN_USER`. */
const STANDARD_STREAMS: Readonly<Record<string, 1 | 2>> = { '/dev/stdout': 1, '/dev/stderr': 2 };

function openSink(target: string, fd: 1 | 2): LogSink {
  const standard = target === '-' ? fd : STANDARD_STREAMS[target];
  if (standard !== undefined) return standardSink(standard);
  // O_NONBLOCK: a FIFO without a reader fails instead of blocking.
  const { O_WRONLY, O_APPEND, O_CREAT, O_NONBLOCK } = constants;
  return ownSink(openSync(target, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK, FILE_MODE));
}

function cureOf({ code }: NodeJS.ErrnoException): string {
  if (code !== 'EACCES') return '';
  return `. Let user ${process.geteuid?.()} write there: chown(1), not through a symbolic link; or log to - (TSUNICORN_USER)`;
}

/** In place of a file that cannot be opened: loses what it gets. */
function lostSink(error: Error): LogSink {
  return {
    blockSize: PIPE_BUF,
    write: (_bytes, done) => process.nextTick(done, error, 0),
    writeSync: () => 0,
    close: () => {},
  };
}

/**
 * stdout or stderr. O_NONBLOCK belongs to the open file description, which the arbiter, all workers and their parent share,
 * so a pipe or a terminal is opened anew. A socket cannot be, nor what another user owns.
 */
function standardSink(fd: 1 | 2): LogSink {
  const stat = fstatSync(fd);
  if (stat.isFile()) return descriptorSink(fd, () => {});
  if (stat.isFIFO() || stat.isCharacterDevice()) {
    const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = constants;
    try {
      return ownSink(openSync(`/proc/self/fd/${fd}`, O_WRONLY | O_NONBLOCK | O_NOCTTY));
    } catch {
      // EACCES, or no /proc
    }
  }
  return sharedSink(fd);
}

/** `fd` is ours alone, with O_NONBLOCK. */
function ownSink(fd: number): LogSink {
  if (isatty(fd)) return terminalSink(fd);
  return fstatSync(fd).isFIFO() ? pipeSink(fd) : descriptorSink(fd, () => closeSync(fd));
}

/** Written in this thread: those of libuv's pool may get SIGTTOU (see `writeFromBackground` in native.ts). */
function terminalSink(fd: number): LogSink {
  return {
    ...descriptorSink(fd, () => closeSync(fd)),
    write: (bytes, done) => {
      try {
        process.nextTick(done, null, writeSync(fd, bytes));
      } catch (error) {
        process.nextTick(done, error, 0);
      }
    },
  };
}

/** Written in a libuv thread; it cannot hang, because files are always ready. */
function descriptorSink(fd: number, close: () => void): LogSink {
  return {
    blockSize: fstatSync(fd).isFile() ? FILE_BLOCK : PIPE_BUF,
    write: (bytes, done) => write(fd, bytes, 0, bytes.length, null, done),
    writeSync: (bytes) => writeSync(fd, bytes),
    close,
  };
}

/** Polled by the event loop: a fifth of the cost of a thread, and no thread can hang at the exit. */
function pipeSink(fd: number): LogSink {
  const socket = new net.Socket({ fd, readable: false, writable: true });
  socket.on('error', () => {}); // `done` gets it, too
  socket.unref();
  return {
    blockSize: PIPE_BUF,
    write: (bytes, done) => void socket.write(bytes, (error) => done(error ?? null, error ? 0 : bytes.length)),
    writeSync: (bytes) => writeSync(fd, bytes),
    close: () => socket.destroy(),
  };
}

/**
 * For what cannot be opened anew. Each write is non-blocking by itself; where it cannot be (without the native part, and
 * for a terminal or FIFO of another user) a thread blocks instead.
 */
function sharedSink(fd: number): LogSink {
  const { native } = loadNative();
  return {
    blockSize: PIPE_BUF,
    write: (bytes, done) => {
      let taken: number | undefined;
      try {
        taken = native?.writeNow(fd, bytes);
      } catch (error) {
        return process.nextTick(done, error, 0);
      }
      if (taken === undefined) writeInThread(fd, bytes, done);
      else process.nextTick(done, null, taken);
    },
    writeSync: (bytes) => {
      const taken = native?.writeNow(fd, bytes);
      if (taken === undefined) writeInThread(fd, bytes, () => {});
      return taken ?? bytes.length;
    },
    close: () => {},
  };
}
