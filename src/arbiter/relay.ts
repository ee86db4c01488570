/**
 * Passes on what workers say to each other (`broadcast()`): in order, as bytes, and without the arbiter's loop. What a
 * worker has not read yet waits here, within a bound. At the bound the senders wait, or, where the worker is silent, it
 * misses messages: a stopped worker holds up nobody.
 */
import type { Socket } from 'node:net';
import { MIB } from '../platform/bytes.ts';
import { FrameReader, frame, headerOf, sign, TOPICS } from '../platform/frames.ts';
import type { WorkerProcess } from './worker-process.ts';

/** For each worker that does not read. */
const BOUND = 8 * MIB;
/** What Node.js needs for a buffer that waits, whatever its length. */
const OVERHEAD = 512;
/** How often a worker for which others wait is looked at: it may have become silent. */
const LOOK_MS = 250;

export interface RelayOptions {
  /** Its event loop has not turned for a while. */
  readonly silent: (workerId: number) => boolean;
  readonly dropping: (workerId: number) => void;
  /** It reads again, or has ended. */
  readonly dropped: (workerId: number, messages: number) => void;
}

interface Member {
  readonly workerId: number;
  readonly slot: number;
  readonly socket: Socket;
  readonly reader: FrameReader;
  /** Bits of the topics that it reads. */
  topics: number;
  /** Bytes that wait for it, counted since none did. */
  queued: number;
  /** Members that wait until it has read. */
  readonly holds: Set<Member>;
  /** For how many it waits. */
  heldBy: number;
  dropped: number;
  ended: boolean;
}

/** Frames of one sender, one after another in memory, for the same receivers. */
interface Run {
  readonly to: number;
  readonly topic: number;
  bytes: Buffer;
  count: number;
}

export class Relay {
  readonly #options: RelayOptions;
  readonly #members = new Map<number, Member>();
  #watch: NodeJS.Timeout | undefined;

  constructor(options: RelayOptions) {
    this.#options = options;
  }

  /** Nothing more is read from a worker that forges messages. */
  add(worker: Pick<WorkerProcess, 'workerId' | 'slot' | 'relaySocket' | 'forged'>): void {
    const { workerId, slot, relaySocket: socket } = worker;
    if (!socket) return; // there is no process
    const member: Member = {
      workerId,
      slot,
      socket,
      reader: new FrameReader(),
      topics: 0,
      queued: 0,
      holds: new Set(),
      heldBy: 0,
      dropped: 0,
      ended: false,
    };
    this.#members.set(workerId, member);
    const read = (chunk: Buffer): void => {
      try {
        this.#read(member, chunk);
      } catch (error) {
        socket.off('data', read).resume();
        worker.forged((error as Error).message);
      }
    };
    socket.on('data', read);
    socket.on('drain', () => this.#drained(member));
    socket.on('error', () => {}); // it has ended, and its exit is reported elsewhere
  }

  /** The worker has ended; what it sent before is still passed on. */
  gone(workerId: number): void {
    const member = this.#members.get(workerId);
    if (!member) return;
    this.#members.delete(workerId);
    member.ended = true;
    member.socket.resume();
    this.#drained(member);
    const ended = frame({ slot: member.slot, workerId, topic: TOPICS.ended }, new Uint8Array());
    for (const { topics, socket } of this.#members.values()) if (topics & (1 << TOPICS.ended)) socket.write(ended);
  }

  #read(sender: Member, chunk: Buffer): void {
    let run: Run | undefined;
    for (const bytes of sender.reader.frames(chunk)) {
      const { slot: to, topic } = headerOf(bytes);
      if (topic === TOPICS.subscribe) {
        sender.topics |= to;
        continue;
      }
      sign(bytes, sender);
      if (run && run.to === to && run.topic === topic && follows(run.bytes, bytes)) {
        run.bytes = Buffer.from(bytes.buffer, run.bytes.byteOffset, run.bytes.length + bytes.length);
        run.count++;
        continue;
      }
      if (run) this.#deliver(sender, run);
      run = { to, topic, bytes, count: 1 };
    }
    if (run) this.#deliver(sender, run);
  }

  #deliver(sender: Member, { to, topic, bytes, count }: Run): void {
    for (const member of this.#members.values()) {
      if (member === sender || (member.topics & (1 << topic)) === 0) continue;
      if (to !== 0 && member.slot !== to - 1) continue;
      if (full(member) && this.#options.silent(member.workerId)) {
        if (member.dropped === 0) this.#options.dropping(member.workerId);
        member.dropped += count;
        continue;
      }
      if (member.socket.writableLength === 0) member.queued = 0;
      member.queued += bytes.length + OVERHEAD;
      member.socket.write(bytes);
      if (full(member)) this.#hold(sender, member);
    }
  }

  #hold(sender: Member, until: Member): void {
    if (sender.ended || until.holds.has(sender) || this.#options.silent(until.workerId)) return;
    until.holds.add(sender);
    sender.heldBy++;
    sender.socket.pause();
    this.#watch ??= setInterval(() => this.#look(), LOOK_MS);
  }

  #look(): void {
    const holding = [...this.#members.values()].filter(({ holds }) => holds.size > 0);
    for (const member of holding) if (this.#options.silent(member.workerId)) this.#release(member);
    if (holding.length > 0) return;
    clearInterval(this.#watch);
    this.#watch = undefined;
  }

  #drained(member: Member): void {
    member.queued = 0;
    this.#release(member);
    if (member.dropped > 0) this.#options.dropped(member.workerId, member.dropped);
    member.dropped = 0;
  }

  #release(member: Member): void {
    for (const sender of member.holds) if (--sender.heldBy === 0) sender.socket.resume();
    member.holds.clear();
  }
}

function full({ socket, queued }: Member): boolean {
  return socket.writableNeedDrain && queued >= BOUND;
}

function follows(before: Buffer, bytes: Buffer): boolean {
  return before.buffer === bytes.buffer && before.byteOffset + before.length === bytes.byteOffset;
}
