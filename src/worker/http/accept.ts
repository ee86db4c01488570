/**
 * The accepting side of a worker: starts, pauses and ends `accept(2)` on each of its listening sockets.
 *
 * Node.js cannot stop to poll a listening socket without closing its descriptor, and cannot duplicate one. So a worker
 * that may have to pause, at its connection cap or for want of memory, keeps a spare descriptor of each socket, lent by
 * the arbiter over the IPC channel: to pause is to close the one in use, to resume is to listen on the spare and ask for
 * the next.
 */
import net from 'node:net';
import type { InheritedListener } from '../../messages.ts';
import { listenOnHandle, openDescriptor, type SocketHandle } from '../../platform/socket-handle.ts';

export interface AcceptOptions {
  readonly backlog: number;
  /** Open connections at which this worker stops to accept; 0 is no cap. */
  readonly cap: number;
  /** It is going to be paused, by the cap or by {@link Acceptor.pause}: have a second descriptor at hand. */
  readonly spares: boolean;
  readonly onConnection: (socket: net.Socket) => void;
  /** Asks the arbiter for a duplicate descriptor of a listener; it comes back through {@link Acceptor.lend}. */
  readonly wantDescriptor: (key: string) => void;
}

/**
 * Consecutive turns of the event loop without a new connection after which an accept queue counts as served: a
 * listening socket is polled level-triggered in each turn, so one turn would do, and the second is for certainty.
 */
const QUIET_TURNS = 2;
/** An answer takes a millisecond or two. One that came while there was no free descriptor was lost, and nobody tells. */
const ASK_AGAIN_MS = 1_000;
/** New connections may keep coming for ever; the sweep of the accept queue does not. */
const LONGEST_SWEEP_MS = 1_000;

export class Acceptor {
  readonly #options: AcceptOptions;
  readonly #accepting = new Map<string, net.Server>();
  readonly #paused = new Set<string>();
  readonly #spares = new Map<string, SocketHandle>();
  /** Accepted above the cap while the accept queue is swept at the end; served as soon as there is room. */
  readonly #held: net.Socket[] = [];
  /** Listeners whose spare was missing when that was last looked at. */
  #missing = new Set<string>();
  #watch: NodeJS.Timeout | undefined;
  #open = 0;
  #braked = false;
  #accepted = 0;
  #state: 'accepting' | 'sweeping' | 'ended' = 'accepting';

  constructor(options: AcceptOptions) {
    this.#options = options;
  }

  /** Starts to accept on the inherited sockets. */
  start(listeners: readonly InheritedListener[]): void {
    for (const { key, fd } of listeners) {
      this.#listen(key, openDescriptor(fd));
      if (this.#options.spares) this.#options.wantDescriptor(key);
    }
    if (this.#options.spares) this.#watch = setInterval(() => this.#askAgain(), ASK_AGAIN_MS);
  }

  /** A descriptor from the arbiter, for the next pause. */
  lend(key: string, handle: SocketHandle): void {
    if (this.#state === 'ended') return handle.close();
    this.#spares.get(key)?.close();
    this.#spares.set(key, handle);
    this.#resume();
  }

  /** Accepts on a descriptor of another slot's socket until {@link stop}; as long as it pauses, once it goes on. */
  cover(key: string, handle: SocketHandle): void {
    if (this.#state === 'ended' || this.#accepting.has(key) || this.#paused.has(key)) return handle.close();
    if (this.#mayNot()) {
      this.#paused.add(key);
      this.#spares.set(key, handle);
      return;
    }
    this.#listen(key, handle);
    if (this.#options.spares) this.#options.wantDescriptor(key);
  }

  /** Stops to accept on one socket: its slot has a worker of its own again. */
  stop(key: string): void {
    this.#close(key);
    this.#paused.delete(key);
    this.#spares.get(key)?.close();
    this.#spares.delete(key);
  }

  /** New connections wait in the kernel's queue, where a spare descriptor is there to come back with; or no longer. */
  pause(on: boolean): void {
    this.#braked = on;
    if (this.#state !== 'accepting') return;
    if (!on) return this.#resume();
    for (const key of [...this.#accepting.keys()]) if (this.#spares.has(key)) this.#pause(key);
  }

  /** Called with the number of open connections whenever it changes. */
  balance(open: number): void {
    this.#open = open;
    if (this.#options.cap === 0) return;
    if (open < this.#options.cap) {
      const next = this.#held.shift();
      if (next) this.#options.onConnection(next);
      else if (this.#state !== 'ended') this.#resume();
    } else if (this.#state === 'accepting') {
      for (const key of [...this.#accepting.keys()]) this.#pause(key);
    }
  }

  /** Accepted connections that wait for room. */
  get held(): number {
    return this.#held.length;
  }

  /** Serves what waits in the accept queues, where nobody else would (`sweep`), then closes every descriptor. */
  async end(sweep: boolean): Promise<void> {
    this.#state = 'sweeping';
    if (sweep) await this.#sweep();
    this.#state = 'ended';
    clearInterval(this.#watch);
    for (const key of [...this.#accepting.keys(), ...this.#spares.keys()]) this.stop(key);
    this.#paused.clear();
  }

  async #sweep(): Promise<void> {
    this.#resume();
    const deadline = performance.now() + LONGEST_SWEEP_MS;
    for (let quiet = 0; quiet < QUIET_TURNS && performance.now() < deadline; quiet++) {
      const before = this.#accepted;
      await new Promise(setImmediate);
      if (this.#accepted !== before || this.#paused.size > 0) quiet = -1;
    }
  }

  #resume(): void {
    if (this.#mayNot()) return;
    for (const key of [...this.#paused]) {
      const spare = this.#spares.get(key);
      if (!spare) continue; // it is on its way
      this.#spares.delete(key);
      this.#paused.delete(key);
      this.#listen(key, spare);
      this.#options.wantDescriptor(key);
    }
  }

  /** It is at its cap or short of memory, and not at its end. */
  #mayNot(): boolean {
    const { cap } = this.#options;
    return this.#state === 'accepting' && (this.#braked || (cap > 0 && this.#open >= cap));
  }

  #askAgain(): void {
    const keys = [...this.#accepting.keys(), ...this.#paused];
    const missing = new Set(keys.filter((key) => !this.#spares.has(key)));
    for (const key of missing) if (this.#missing.has(key)) this.#options.wantDescriptor(key);
    this.#missing = missing;
  }

  #listen(key: string, handle: SocketHandle): void {
    const { backlog, cap, onConnection } = this.#options;
    // As node:http does for a server that listens by itself.
    const server = net.createServer({ allowHalfOpen: true, noDelay: true });
    server.on('connection', (socket) => {
      this.#accepted++;
      if (cap > 0 && this.#open >= cap) this.#held.push(socket);
      else onConnection(socket);
    });
    this.#accepting.set(key, server);
    listenOnHandle(server, handle, backlog);
  }

  #pause(key: string): void {
    this.#close(key);
    this.#paused.add(key);
  }

  #close(key: string): void {
    // Closes the descriptor and nothing else: http.Server.close() also destroys connections that were just accepted.
    this.#accepting.get(key)?.close();
    this.#accepting.delete(key);
  }
}
