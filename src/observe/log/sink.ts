/** The ways in which log bytes leave this process. None makes anybody wait. */
import net from 'node:net';
import { isatty } from 'node:tty';
import { loadNative } from '../../platform/native/native.ts';
import { closeSync, constants, fstatSync, openSync, write, writeSync } from '../../platform/node-fs.ts';
import { type Written, writeInThread } from '../../platform/thread-writes.ts';

/** Takes one block at a time: the next one after `done`. */
export interface Sink {
  /** The bytes of a block up to which concurrent writers do not tear each other's lines. */
  readonly blockSize: number;
  /** `done` gets the bytes that were taken, which may be fewer than were given: none where there is no room now. */
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
  return ownSink(openSync(target, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK, FILE_MODE));
}

/** Takes what it is given and loses it: in place of a file that cannot be opened. */
export function lostSink(error: Error): Sink {
  return {
    blockSize: PIPE_BUF, // whatever it will be
    write: (_bytes, done) => process.nextTick(done, error, 0),
    writeSync: () => 0,
    close: () => {},
  };
}

/**
 * stdout or stderr. A pipe or a terminal is opened once more, because O_NONBLOCK belongs to the open file description,
 * which is shared with the arbiter, all workers and whoever started them. A socket cannot be opened, nor what belongs to
 * another user.
 */
function standardSink(fd: 1 | 2): Sink {
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

/** `fd` was opened here, with O_NONBLOCK. */
function ownSink(fd: number): Sink {
  if (isatty(fd)) return terminalSink(fd);
  return fstatSync(fd).isFIFO() ? pipeSink(fd) : descriptorSink(fd, () => closeSync(fd));
}

/** In this thread: those of libuv's pool may have SIGTTOU, see writeFromBackground(). */
function terminalSink(fd: number): Sink {
  const sink = descriptorSink(fd, () => closeSync(fd));
  return {
    ...sink,
    write: (bytes, done) => {
      try {
        process.nextTick(done, null, writeSync(fd, bytes));
      } catch (error) {
        process.nextTick(done, error, 0);
      }
    },
  };
}

/** A write in a thread of libuv's, which returns: a file is always ready, and a terminal that is not says EAGAIN. */
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

/**
 * For what cannot be opened once more. Each write says for itself that it does not wait; where that cannot be (without
 * the native part, and for a terminal or a FIFO of another user) a thread waits in our place.
 */
function sharedSink(fd: number): Sink {
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
