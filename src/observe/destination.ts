/** Where log lines go: a descriptor or a file, written without ever making a request wait. */
import { fstatSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { destination as sonicBoom } from 'pino';

/** Writes of at most PIPE_BUF bytes do not interleave with other writers of a pipe (pipe(7)). */
const PIPE_BUF = 4096;
/** Large enough that the cost of a write(2) in another thread does not count: four times sonic-boom's own block. */
const FILE_WRITE = 64 * 1024;
/** What a reader that has stopped may cost in memory before lines are dropped. */
const MAX_BUFFERED = 4 * 1024 * 1024;
/** How long an ending process waits for a slow reader. */
const LAST_FLUSH_MS = 2_000;

const NEWLINE = 0x0a;

export interface LogDestination {
  /** The bytes of a block up to which concurrent writers do not tear each other's lines. */
  readonly blockSize: number;
  /** Keeps `bytes` until they are written: they must not change. */
  write(bytes: Buffer): void;
  /** Reopens a file that was moved away (logrotate); nothing for stdout and stderr. */
  reopen(): void;
  /** Waits until everything is written, for a while, and then lets go of what a reader never took. */
  close(): Promise<void>;
  /** For a process that exits now: what can be written without waiting is. */
  flushSync(): void;
  /** Lines dropped since the last call. */
  takeDropped(): number;
}

/** `target` is a path, `-` the descriptor `fd`. Throws where the file cannot be opened. */
export function openDestination(target: string, fd: 1 | 2): LogDestination {
  const isFile = target !== '-' || fstatSync(fd).isFile();
  const blockSize = isFile ? FILE_WRITE : PIPE_BUF;
  const stream = sonicBoom({
    dest: target === '-' ? fd : target,
    sync: false,
    // 1 and not 0: with 0 sonic-boom's flush() does not wait for the write under way.
    minLength: 1,
    maxLength: MAX_BUFFERED,
    maxWrite: blockSize,
    append: true,
    contentMode: 'buffer',
  });
  let dropped = 0;
  stream.on('drop', (bytes: Buffer) => {
    for (const byte of bytes) if (byte === NEWLINE) dropped++;
  });
  // EPIPE, ENOSPC: serving goes on without the line; there is no better place to complain.
  stream.on('error', () => {
    dropped++;
  });
  return {
    blockSize,
    write: (bytes) => void stream.write(bytes as unknown as string), // its types know text alone
    reopen: () => {
      if (target !== '-') stream.reopen();
    },
    close: async () => {
      const written = new Promise<void>((resolve) => stream.flush(() => resolve()));
      await Promise.race([written, sleep(LAST_FLUSH_MS)]);
      // pino's exit hook would go on trying to write, for ever where the disk is full.
      stream.destroy();
    },
    flushSync: () => {
      try {
        stream.flushSync();
      } catch {
        // nobody reads, or nobody is there to tell
      }
    },
    takeDropped: () => {
      const n = dropped;
      dropped = 0;
      return n;
    },
  };
}
