/** The messages to and from other workers, over a socket of their own to the arbiter, which passes them on. */
import { Socket } from 'node:net';
import { MIB, mib } from '../platform/bytes.ts';
import { contentOf, FrameReader, frame, headerOf, LARGEST_MESSAGE, TOPICS, type Topic } from '../platform/frames.ts';
import type { MessageHandler } from '../worker-hook.ts';
import { decode, encode } from './structured-clone.ts';

/** What may wait in this process until the arbiter takes it; more is a program that does not wait for its own promises. */
const LONGEST_QUEUE = 32 * MIB;
/** For the last messages of a worker that ends. */
const LONGEST_FLUSH_MS = 1_000;

export class Mailbox {
  readonly #fd: number | undefined;
  readonly #handlers = new Map<number, Set<MessageHandler>>();
  /** Made once the app wants it: most apps send nothing. */
  #socket: Socket | undefined;
  #topics = 0;
  #room: Promise<void> | undefined;

  /** @param fd undefined if there are no other workers (`tsunicorn check`) */
  constructor(fd: number | undefined) {
    this.#fd = fd;
  }

  /**
   * To every other worker that reads the topic, or to those of one slot. Resolves when there is room for more. Throws
   * if this message cannot be sent.
   */
  send(topic: Topic, message: unknown, slot?: number): Promise<void> {
    const content = encode(message);
    if (content.length > LARGEST_MESSAGE) {
      throw Object.assign(new RangeError(tooLarge(content.length)), { code: 'ERR_TSUNICORN_MESSAGE_SIZE' });
    }
    const socket = this.#open();
    if (!socket) return Promise.resolve();
    if (socket.writableLength > LONGEST_QUEUE) {
      throw Object.assign(new Error(TOO_MANY), { code: 'ERR_TSUNICORN_MESSAGE_QUEUE' });
    }
    socket.write(frame({ slot: slot === undefined ? 0 : slot + 1, workerId: 0, topic }, content));
    return socket.writableNeedDrain ? this.#drained(socket) : Promise.resolve();
  }

  /** From now on, until the returned function is called. */
  on(topic: Topic, handler: MessageHandler): () => void {
    const handlers = this.#handlers.get(topic) ?? new Set();
    this.#handlers.set(topic, handlers);
    // A function of its own: one that is given twice is called twice, as by an EventEmitter.
    const call: MessageHandler = (message, from) => handler(message, from);
    handlers.add(call);
    if ((this.#topics & (1 << topic)) === 0) {
      this.#topics |= 1 << topic;
      this.#open()?.write(frame({ slot: this.#topics, workerId: 0, topic: TOPICS.subscribe }, new Uint8Array()));
    }
    return () => void handlers.delete(call);
  }

  /** Resolves when the kernel has what was sent, or after a second. */
  async flush(): Promise<void> {
    const socket = this.#socket;
    if (!socket || socket.writableLength === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, LONGEST_FLUSH_MS);
    socket.once('close', resolve).write('', () => resolve());
    await promise;
    clearTimeout(timer);
  }

  #drained(socket: Socket): Promise<void> {
    this.#room ??= new Promise((resolve) => {
      const done = (): void => {
        socket.off('drain', done).off('close', done);
        this.#room = undefined;
        resolve();
      };
      socket.on('drain', done).on('close', done);
    });
    return this.#room;
  }

  #open(): Socket | undefined {
    if (this.#socket || this.#fd === undefined) return this.#socket;
    const socket = new Socket({ fd: this.#fd, readable: true, writable: true });
    const reader = new FrameReader();
    socket.on('data', (chunk: Buffer) => {
      for (const bytes of reader.frames(chunk)) this.#deliver(bytes);
    });
    socket.on('error', () => {}); // the arbiter is gone, which the IPC channel tells
    socket.unref(); // to listen is no work of the app
    this.#socket = socket;
    return socket;
  }

  #deliver(bytes: Buffer): void {
    const { slot, workerId, topic } = headerOf(bytes);
    for (const handler of [...(this.#handlers.get(topic) ?? [])]) {
      try {
        // Each its own copy: one must not see what another changed.
        handler(topic === TOPICS.ended ? undefined : decode(contentOf(bytes)), { slot, id: workerId });
      } catch (error) {
        process.nextTick(() => {
          throw error; // an uncaught exception, as of any listener, but the other messages arrive
        });
      }
    }
  }
}

const tooLarge = (length: number): string =>
  `a message between workers may have ${LARGEST_MESSAGE} bytes (${mib(LARGEST_MESSAGE)}), and this one has ${length}: put it into a file or a database, and send its name`;
const TOO_MANY = `more than ${mib(LONGEST_QUEUE)} of messages wait, as other workers read more slowly than this one sends: await what broadcast() returns`;
