/**
 * The messages that workers send each other, as bytes. The arbiter reads the header alone: what is in a message cannot
 * harm it.
 *
 *     0  length of what follows the header
 *     4  to the arbiter: the receiver's slot plus one, or 0 for every other worker; from it: the sender's slot
 *     8  from the arbiter: the sender's workerId
 *    12  topic
 */
import { MIB } from './bytes.ts';

/** Above that, the place for it is a file or a database, and the message says where. */
export const LARGEST_MESSAGE = 4 * MIB;

const HEADER_BYTES = 16;
const SLOT_AT = 4;
const ID_AT = 8;
const TOPIC_AT = 12;

/**
 * One bit each. `subscribe` is for the arbiter: the sender reads the topics whose bits the second field has. `ended` is
 * from the arbiter, without content: the worker that the header names has ended.
 */
export const TOPICS = { subscribe: 0, app: 1, cluster: 2, ended: 3 } as const;
export type Topic = (typeof TOPICS)[keyof typeof TOPICS];

export interface FrameHeader {
  readonly slot: number;
  readonly workerId: number;
  readonly topic: number;
}

export function frame({ slot, workerId, topic }: FrameHeader, content: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + content.length);
  bytes.writeUInt32LE(content.length, 0);
  bytes.writeUInt32LE(slot, SLOT_AT);
  bytes.writeUInt32LE(workerId, ID_AT);
  bytes.writeUInt32LE(topic, TOPIC_AT);
  bytes.set(content, HEADER_BYTES);
  return bytes;
}

export function headerOf(bytes: Buffer): FrameHeader {
  return {
    slot: bytes.readUInt32LE(SLOT_AT),
    workerId: bytes.readUInt32LE(ID_AT),
    topic: bytes.readUInt32LE(TOPIC_AT),
  };
}

/** Says in the frame itself whose it is. */
export function sign(bytes: Buffer, { slot, workerId }: Pick<FrameHeader, 'slot' | 'workerId'>): void {
  bytes.writeUInt32LE(slot, SLOT_AT);
  bytes.writeUInt32LE(workerId, ID_AT);
}

/** Memory of its own: typed arrays in a message are views of it, and must not show other messages. */
export function contentOf(bytes: Buffer): Uint8Array {
  return new Uint8Array(bytes.subarray(HEADER_BYTES));
}

/** Cuts a stream of bytes into frames. */
export class FrameReader {
  /** The frame that is not complete, or the start of its header. */
  #part: Buffer | undefined;
  #filled = 0;

  /** The frames that `chunk` completes; most are views of it. Throws a TypeError if no worker sends that. */
  *frames(chunk: Buffer): Generator<Buffer> {
    let at = 0;
    while (this.#part) {
      const copied = chunk.copy(this.#part, this.#filled, at);
      at += copied;
      this.#filled += copied;
      if (this.#filled < this.#part.length) return;
      const complete = this.#part;
      const length = lengthOf(complete);
      if (complete.length === length) {
        this.#part = undefined;
        yield complete;
      } else this.#start(length, complete);
    }
    while (at < chunk.length) {
      const left = chunk.subarray(at);
      if (left.length < HEADER_BYTES) return this.#start(HEADER_BYTES, left);
      const length = lengthOf(left);
      if (left.length < length) return this.#start(length, left);
      at += length;
      yield left.subarray(0, length);
    }
  }

  #start(length: number, bytes: Buffer): void {
    this.#part = Buffer.allocUnsafeSlow(length);
    this.#filled = bytes.copy(this.#part);
  }
}

/** Of the whole frame. */
function lengthOf(bytes: Buffer): number {
  const length = bytes.readUInt32LE(0);
  if (length > LARGEST_MESSAGE) throw new TypeError(`a message of ${length} bytes`);
  return HEADER_BYTES + length;
}
