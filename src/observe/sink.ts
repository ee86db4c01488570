/** The two ways in which log bytes leave this process. Neither makes anybody wait. */
import net from 'node:net';
import { closeSync, constants, fstatSync, openSync, write, writeSync } from '../platform/node-fs.ts';

/** `written` counts bytes, and may be fewer than were given. */
export type Written = (error: Error | null, written: number) => void;

/** Takes one block at a time: the next one after `done`. */
export interface Sink {
  /** The bytes of a block up to which concurrent writers do not tear each other's lines. */
  readonly blockSize: number;
  write(bytes: Buffer, done: Written): void;
  /** For the very end. Returns the bytes that were taken at once; throws what write(2) says. */
  writeSync(bytes: Buffer): number;
  close(): void;
}

/** Writes of at most PIPE_BUF bytes do not interleave with other writers of a pipe (pipe(7)). */
const PIPE_BUF = 4096;
/** Large enough that a write(2) in another thread does not count: four times the block of sonic-boom, pino's writer. */
const FILE_BLOCK = 64 * 1024;
/** As open(2) does for everybody: the umask decides. */
const FILE_MODE = 0o666;

/** `target` is a path, or `-` for the descriptor `fd`. Throws where it cannot be opened. */
export function openSink(target: string, fd: 1 | 2): Sink {
  if (target === '-') return standardSink(fd);
  // O_NONBLOCK means nothing for a file; a FIFO without a reader is an error instead of a wait.
  const { O_WRONLY, O_APPEND, O_CREAT, O_NONBLOCK } = constants;
  const opened = openSync(target, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK, FILE_MODE);
  return fstatSync(opened).isFIFO() ? pipeSink(opened) : descriptorSink(opened, () => closeSync(opened));
}

/**
 * stdout or stderr. Where it is a pipe it is opened once more, because O_NONBLOCK belongs to the open file description,
 * which is shared with the arbiter, all workers and whoever started them. That is refused where the pipe belongs to
 * another user; then, and for a socket or a terminal, the thread pool waits in our place.
 */
function standardSink(fd: 1 | 2): Sink {
  if (fstatSync(fd).isFIFO()) {
    try {
      return pipeSink(openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK));
    } catch {
      // EACCES, or no /proc
    }
  }
  return descriptorSink(fd, () => {});
}

function descriptorSink(fd: number, close: () => void): Sink {
  return {
    blockSize: fstatSync(fd).isFile() ? FILE_BLOCK : PIPE_BUF,
    write: (bytes, done) => write(fd, bytes, 0, bytes.length, null, done),
    writeSync: (bytes) => writeSync(fd, bytes),
    close,
  };
}

/** Polled by the event loop: a fifth of what a write in another thread costs, and nothing hangs in a thread at the end. */
function pipeSink(fd: number): Sink {
  const socket = new net.Socket({ fd, readable: false, writable: true });
  socket.on('error', () => {}); // told to `done`, too
  socket.unref();
  return {
    blockSize: PIPE_BUF,
    write: (bytes, done) => void socket.write(bytes, (error) => done(error ?? null, error ? 0 : bytes.length)),
    writeSync: (bytes) => writeSync(fd, bytes),
    close: () => socket.destroy(),
  };
}
