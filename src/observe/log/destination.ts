/** Where log lines go: a descriptor or a file, written without ever making a request wait. */
import { setTimeout as sleep } from 'node:timers/promises';
import { HaltServer } from '../../errors.ts';
import { lostSink, openSink, type Sink } from './sink.ts';

/** What a reader that has stopped may cost in memory before lines are dropped. */
const MAX_BUFFERED = 4 * 1024 * 1024;
/** How long an ending process waits for a slow reader. */
const LAST_FLUSH_MS = 2_000;
/** Nothing tells when there is room in a descriptor that others share. */
const RETRY_MS = 10;
/** A file that cannot be opened is tried again with the next line after this. */
const REOPEN_MS = 1_000;
/** Blocks that are kept to be filled again: one is written, one waits. */
const MAX_SPARES = 2;

const NEWLINE = 0x0a;

export interface LogDestination {
  /** The bytes of a block up to which concurrent writers do not tear each other's lines. */
  readonly blockSize: number;
  /** Keeps `bytes` until they are written: they must not change. */
  write(bytes: Buffer): void;
  /** A block of `size` bytes whose content was written; undefined where there is none. */
  spare(size: number): Buffer | undefined;
  /** Reopens a file that was moved away (logrotate); nothing for stdout and stderr. */
  reopen(): void;
  /** Waits until everything is written, for a while, and then lets go of what a reader never took. */
  close(): Promise<void>;
  /** For a process that exits now: what can be written without waiting is. */
  flushSync(): void;
  /** Lines dropped since the last call. */
  takeDropped(): number;
}

/**
 * `target` is a path, `-` the descriptor `fd`. A file that cannot be opened is told to `lost`, and its lines are dropped
 * until it can be; where there is nobody to tell it throws HaltServer.
 */
export function openDestination(target: string, fd: 1 | 2, lost?: (problem: string) => void): LogDestination {
  return new Destination(
    () => openSink(target, fd),
    target !== '-',
    (cause) => {
      const problem = `the log cannot be opened: ${cause.message}`;
      if (!lost) throw new HaltServer(problem, 'config', { cause });
      lost(problem);
    },
  );
}

class Destination implements LogDestination {
  readonly #open: () => Sink;
  readonly #canReopen: boolean;
  #sink: Sink;
  /** When a file that could not be opened is to be tried again; undefined where it was opened. */
  #reopenAt: number | undefined;
  /** Replaced by a reopen while a block was on its way into it. */
  #old: Sink | undefined;
  readonly #waiting: Buffer[] = [];
  #waitingBytes = 0;
  /** What the sink has not taken yet of the block that is on its way; undefined while nothing is. */
  #rest: Buffer | undefined;
  /** Set while that waits for room. */
  #retry: NodeJS.Timeout | undefined;
  #block: Buffer | undefined;
  readonly #spares: Buffer[] = [];
  #written: (() => void) | undefined;
  #closed = false;
  #dropped = 0;

  constructor(open: () => Sink, canReopen: boolean, failed: (error: Error) => void) {
    this.#open = open;
    this.#canReopen = canReopen;
    try {
      this.#sink = open();
    } catch (error) {
      failed(error as Error);
      this.#sink = lostSink(error as Error);
      this.#reopenAt = performance.now() + REOPEN_MS;
    }
  }

  get blockSize(): number {
    return this.#sink.blockSize;
  }

  write(bytes: Buffer): void {
    if (this.#closed || this.#waitingBytes + bytes.length > MAX_BUFFERED) return this.#drop(bytes);
    if (this.#reopenAt !== undefined && performance.now() >= this.#reopenAt) this.reopen();
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    if (this.#rest === undefined) this.#next();
  }

  spare(size: number): Buffer | undefined {
    const spare = this.#spares.pop();
    return spare?.length === size ? spare : undefined;
  }

  reopen(): void {
    if (!this.#canReopen || this.#closed) return;
    let sink: Sink;
    try {
      sink = this.#open();
    } catch {
      if (this.#reopenAt !== undefined) this.#reopenAt = performance.now() + REOPEN_MS;
      return; // the directory is gone or full of other rights: the old file is better than none
    }
    this.#reopenAt = undefined;
    if (this.#rest === undefined) this.#sink.close();
    else this.#old ??= this.#sink;
    this.#sink = sink;
  }

  async close(): Promise<void> {
    if (this.#rest !== undefined) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#written = resolve;
      const timeout = new AbortController();
      await Promise.race([promise, sleep(LAST_FLUSH_MS, undefined, { signal: timeout.signal }).catch(() => {})]);
      timeout.abort();
    }
    this.#closed = true;
    clearTimeout(this.#retry);
    for (const bytes of this.#takeAll(this.#rest)) this.#drop(bytes);
    this.#sink.close();
  }

  flushSync(): void {
    if (this.#closed) return;
    // What a thread or the loop has in hand is theirs.
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
      // EAGAIN: nobody reads; anything else: nobody to tell
    }
    for (const bytes of blocks) this.#drop(bytes);
  }

  takeDropped(): number {
    const dropped = this.#dropped;
    this.#dropped = 0;
    return dropped;
  }

  /** All that is to be written, after `rest`. */
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

  /** The next block; lines that were written one by one while another was on its way become one. */
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
    // EPIPE, ENOSPC: serving goes on without the lines; there is no better place to complain.
    if (error) this.#drop(rest);
    else if (written < rest.length) {
      this.#rest = rest.subarray(written);
      return sink.write(this.#rest, this.#onWritten);
    }
    this.#old?.close();
    this.#old = undefined;
    if (this.#block && this.#spares.length < MAX_SPARES) this.#keep(this.#block);
    this.#next();
  };

  /** The memory behind a block; spare() knows by its size whether it is one, and no part of Node.js' buffer pool. */
  #keep({ buffer }: Buffer): void {
    if (buffer.byteLength > this.blockSize) this.#spares.push(Buffer.from(buffer));
  }

  #drop(bytes: Buffer): void {
    for (const byte of bytes) if (byte === NEWLINE) this.#dropped++;
  }
}
