/**
 * A server that listens in name only: to its program it looks as after `listen()`, and no socket is opened, since the
 * connections come from tsunicorn's listeners.
 */
import type { AddressInfo, Server } from 'node:net';
import { isIP } from 'node:net';
import type { ListenCall } from './listen-call.ts';

/** PoolWorkers that the pretence covers, each restored when it ends. */
const COVERED = ['listening', 'address', 'close', 'closeIdleConnections'] as const;

type Closed = (error?: Error) => void;

export class CapturedServer {
  readonly server: Server;
  readonly call: ListenCall;
  readonly #onClose: (pretence: CapturedServer) => void;
  #state: 'listening' | 'closing' | 'over' = 'listening';

  /**
   * `port` stands for 0. `onClose` hears that the program has called `close()`; its callback and the 'close' event come
   * with {@link end}.
   */
  constructor(server: Server, call: ListenCall, port: number, onClose: (pretence: CapturedServer) => void) {
    this.server = server;
    this.call = call;
    this.#onClose = onClose;
    const address = addressOf(call, port);
    const cover = (member: (typeof COVERED)[number], what: PropertyDescriptor): void => {
      Object.defineProperty(server, member, { configurable: true, ...what });
    };
    cover('listening', { get: () => this.listening });
    cover('address', { writable: true, value: () => (this.listening ? address : null) });
    cover('close', { writable: true, value: (done?: Closed) => this.#close(done) });
    if (call.callback) server.once('listening', call.callback);
    if (call.signal?.aborted) process.nextTick(() => this.listening && server.close());
    call.signal?.addEventListener('abort', () => this.listening && server.close(), { once: true });
    process.nextTick(() => this.listening && server.emit('listening'));
  }

  get listening(): boolean {
    return this.#state === 'listening';
  }

  /** The drain decides when an idle connection may be closed: a request may be on its way. */
  keepIdleConnections(): void {
    Object.defineProperty(this.server, 'closeIdleConnections', { configurable: true, writable: true, value: () => {} });
  }

  /** The server is as before `listen()`; what the program's `close()` promised comes true. */
  end(): void {
    if (this.#state === 'over') return;
    const wasClosed = this.#state === 'closing';
    this.#state = 'over';
    for (const member of COVERED) Reflect.deleteProperty(this.server, member);
    if (wasClosed) process.nextTick(() => this.server.emit('close'));
  }

  #close(done: Closed | undefined): Server {
    const { server } = this;
    if (typeof done === 'function') {
      server.once('close', this.listening ? done : () => done(notRunning()));
    }
    if (this.listening) {
      this.#state = 'closing';
      this.#onClose(this);
    }
    return server;
  }
}

function addressOf({ port, host, path }: ListenCall, actual: number): AddressInfo | string {
  if (path !== undefined) return path;
  const address = host === 'localhost' ? '127.0.0.1' : host || '::';
  return { address, family: isIP(address) === 4 ? 'IPv4' : 'IPv6', port: port || actual };
}

function notRunning(): Error {
  return Object.assign(new Error('Server is not running.'), { code: 'ERR_SERVER_NOT_RUNNING' });
}
