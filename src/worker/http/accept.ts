/**
 * The accepting side of a worker: starts, pauses and ends `accept(2)` on each of its listening sockets.
 *
 * Node.js cannot stop polling a listening socket without closing its descriptor, and cannot duplicate one. So a worker
 * that may have to pause keeps a spare descriptor of each socket, sent by the arbiter over the IPC channel: to pause it
 * closes the one in use, to resume it listens on the spare and asks for the next.
 */
import net from 'node:net';
import type { InheritedListener } from '../../messages.ts';
import { listenOnHandle, openDescriptor, type SocketHandle } from '../../platform/socket-handle.ts';
import { Peer, type Trust } from './peer.ts';

export type SocketOptions = Pick<net.ServerOpts, 'noDelay' | 'keepAlive' | 'keepAliveInitialDelay' | 'highWaterMark'>;

export interface AcceptOptions {
  readonly backlog: number;
  /** Open connections at which this worker stops accepting; 0 is no cap. */
  readonly cap: number;
  /** The cap or {@link Acceptor.pause} will pause it: keep a spare descriptor of each listener. */
  readonly spares: boolean;
  readonly trusts: Trust;
  /** Those of the server that the connections go to. */
  readonly socketOptions: () => SocketOptions;
  /** `key` is the listener's. */
  readonly onConnection: (socket: net.Socket, peer: Peer, key: string) => void;
  /** Asks the arbiter for a duplicate descriptor of a listener; it comes back through {@link Acceptor.lend}. */
  readonly needDescriptor: (key: string) => void;
}

/**
 * Turns of the event loop without a new connection after which an accept queue counts as empty: libuv polls listening
 * sockets level-triggered in each turn, so one turn would do, and the second is for certainty.
 */
const QUIET_TURNS = 2;
/** An answer takes a millisecond or two. The kernel drops one for which there is no free descriptor, silently. */
const ASK_AGAIN_MS = 1_000;
/** New connections may keep coming for ever. */
const LONGEST_QUEUE_DRAIN_MS = 1_000;

/** A listening socket of this worker, or of a slot that has none. */
interface AcceptSource {
  readonly key: string;
  server: net.Server | undefined;
  spare: SocketHandle | undefined;
  /** The spare was missing at the last check. */
  missed: boolean;
}

export class Acceptor {
  readonly #options: AcceptOptions;
  readonly #sources = new Map<string, AcceptSource>();
  /** Accepted above the cap while the accept queue drains at the end; served as soon as there is room. */
  readonly #held: (() => void)[] = [];
  #watch: NodeJS.Timeout | undefined;
  #open = 0;
  #wantsPause = false;
  #accepted = 0;
  #state: 'accepting' | 'draining' | 'ended' = 'accepting';

  constructor(options: AcceptOptions) {
    this.#options = options;
  }

  start(listeners: readonly InheritedListener[]): void {
    for (const { key, fd } of listeners) this.takeOver(key, openDescriptor(fd));
    if (this.#options.spares) this.#watch = setInterval(() => this.#askAgain(), ASK_AGAIN_MS);
  }

  /** A spare descriptor from the arbiter. One that comes after {@link handBack} has no listener any more. */
  lend(key: string, handle: SocketHandle): void {
    const source = this.#sources.get(key);
    if (!source) return handle.close();
    source.spare?.close();
    source.spare = handle;
    this.#resume();
  }

  /** Accepts on one more listener, another slot's until {@link handBack}; while paused, as soon as it goes on. */
  takeOver(key: string, handle: SocketHandle): void {
    if (this.#state === 'ended' || this.#sources.has(key)) return handle.close();
    this.#sources.set(key, { key, server: undefined, spare: handle, missed: false });
    this.#resume();
  }

  /** Stops accepting for another slot: it has a worker again. */
  handBack(key: string): void {
    const source = this.#sources.get(key);
    if (!source) return;
    this.#pause(source);
    source.spare?.close();
    this.#sources.delete(key);
  }

  /** Leaves new connections in the kernel's queue, on listeners that have a spare descriptor to resume on; or goes on. */
  pause(on: boolean): void {
    this.#wantsPause = on;
    if (this.#state !== 'accepting') return;
    if (!on) return this.#resume();
    for (const source of this.#sources.values()) if (source.spare) this.#pause(source);
  }

  /** Called with the number of open connections whenever it changes. */
  balance(open: number): void {
    this.#open = open;
    if (this.#options.cap === 0) return;
    if (open < this.#options.cap) {
      const serveNext = this.#held.shift();
      if (serveNext) serveNext();
      else this.#resume();
    } else if (this.#state === 'accepting') {
      for (const source of this.#sources.values()) this.#pause(source);
    }
  }

  get held(): number {
    return this.#held.length;
  }

  /** Serves what waits in the accept queues where no other worker will (`drainQueues`), then closes every descriptor. */
  async end(drainQueues: boolean): Promise<void> {
    this.#state = 'draining';
    if (drainQueues) await this.#drainQueues();
    this.#state = 'ended';
    clearInterval(this.#watch);
    for (const key of this.#sources.keys()) this.handBack(key);
  }

  async #drainQueues(): Promise<void> {
    this.#resume();
    const deadline = performance.now() + LONGEST_QUEUE_DRAIN_MS;
    for (let quiet = 0; quiet < QUIET_TURNS && performance.now() < deadline; quiet++) {
      const before = this.#accepted;
      await new Promise(setImmediate);
      const paused = [...this.#sources.values()].some(({ server }) => !server);
      if (this.#accepted !== before || paused) quiet = -1;
    }
  }

  #resume(): void {
    if (this.#mustPause()) return;
    for (const source of this.#sources.values()) {
      const { key, server, spare } = source;
      if (server || !spare) continue; // accepting already, or the spare is on its way
      const kind = spare.getsockname ? 'tcp' : 'unix';
      // As node:http does for a server that listens by itself.
      const { noDelay, keepAlive, keepAliveInitialDelay, highWaterMark } = this.#options.socketOptions();
      const options = { allowHalfOpen: true, noDelay, keepAlive, keepAliveInitialDelay, highWaterMark };
      source.server = net.createServer(options);
      source.server.on('connection', (socket) => this.#accept(socket, kind, key));
      listenOnHandle(source.server, spare, this.#options.backlog);
      source.spare = undefined;
      if (this.#options.spares) this.#options.needDescriptor(key);
    }
  }

  /** At its cap or short of memory, and not draining. */
  #mustPause(): boolean {
    const { cap } = this.#options;
    return this.#state === 'accepting' && (this.#wantsPause || (cap > 0 && this.#open >= cap));
  }

  #askAgain(): void {
    for (const source of this.#sources.values()) {
      if (source.missed && !source.spare) this.#options.needDescriptor(source.key);
      source.missed = !source.spare;
    }
  }

  #pause(source: AcceptSource): void {
    // Closes the descriptor and nothing else: http.Server.close() also destroys connections that were just accepted.
    source.server?.close();
    source.server = undefined;
  }

  #accept(socket: net.Socket, kind: Peer['kind'], key: string): void {
    const { cap, trusts, onConnection } = this.#options;
    this.#accepted++;
    const peer = Peer.of(socket, kind, trusts);
    if (peer === undefined) return void socket.destroy();
    if (cap > 0 && this.#open >= cap) this.#held.push(() => onConnection(socket, peer, key));
    else onConnection(socket, peer, key);
  }
}
