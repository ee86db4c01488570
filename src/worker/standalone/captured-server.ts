/**
 * A server that listens in name only. To its program it looks as after `listen()`, but it opens no socket: its
 * connections come from tsunicorn's listeners.
 */
import { type AddressInfo, isIP, type Server } from 'node:net';
import { can, isHttpServer, isObject } from '../app/duck-typing.ts';
import type { ListenCall } from './listen-call.ts';

/** Until {@link CapturedServer.end}. */
const OVERRIDDEN = ['listening', 'address', 'close', 'closeIdleConnections'] as const;

export class CapturedServer {
  readonly server: Server;
  readonly call: ListenCall;
  #onClose: (captured: CapturedServer) => void;
  #state: 'listening' | 'closing' | 'ended' = 'listening';

  /** `port` stands for 0. `onClose`: the program called `close()`, which completes with {@link end} or {@link drained}. */
  constructor(server: Server, call: ListenCall, port: number, onClose: (captured: CapturedServer) => void) {
    this.server = server;
    this.call = call;
    this.#onClose = onClose;
    const address = addressOf(call, port);
    Object.defineProperty(server, 'listening', { configurable: true, get: () => this.listening });
    this.#override('address', () => (this.listening ? address : null));
    this.#override('close', (done?: (error?: Error) => void) => this.#close(done));
    const { callback, options } = call;
    if (callback) server.once('listening', callback);
    if (options.signal?.aborted) process.nextTick(() => this.listening && server.close());
    options.signal?.addEventListener('abort', () => this.listening && server.close(), { once: true });
    process.nextTick(() => this.listening && server.emit('listening'));
  }

  get listening(): boolean {
    return this.#state === 'listening';
  }

  /** From now on only the drain closes idle connections, since a request may be on its way. */
  keepIdleConnections(): void {
    this.#override('closeIdleConnections', () => {});
  }

  /** No connection is left: `close()` completes, also one to come, as in a signal handler that awaits something first. */
  drained(): void {
    this.#onClose = () => this.end();
    this.completeClose();
  }

  /** As {@link end}, if the program has called `close()`. */
  completeClose(): void {
    if (this.#state === 'closing') this.end();
  }

  /** Restores the server as it was before `listen()`, and lets a `close()` of the program complete. */
  end(): void {
    if (this.#state === 'ended') return;
    const wasClosed = this.#state === 'closing';
    this.#state = 'ended';
    for (const member of OVERRIDDEN) Reflect.deleteProperty(this.server, member);
    if (wasClosed) process.nextTick(() => this.server.emit('close'));
  }

  #override(member: (typeof OVERRIDDEN)[number], value: (done?: () => void) => unknown): void {
    Object.defineProperty(this.server, member, { configurable: true, writable: true, value });
  }

  #close(done?: (error?: Error) => void): Server {
    if (typeof done === 'function') this.server.once('close', this.listening ? done : () => done(notRunning()));
    if (this.listening) {
      this.#state = 'closing';
      this.#onClose(this);
    }
    return this.server;
  }
}

function addressOf({ port, options: { path, host } }: ListenCall, actual: number): AddressInfo | string {
  if (path !== undefined) return path;
  const address = host === 'localhost' ? '127.0.0.1' : host || '::';
  return { address, family: isIP(address) === 4 ? 'IPv4' : 'IPv6', port: port || actual };
}

function notRunning(): Error {
  return Object.assign(new Error('Server is not running.'), { code: 'ERR_SERVER_NOT_RUNNING' });
}

export function kindOf(server: Server): 'http' | 'https' | 'http2' | 'other' {
  if ('updateSettings' in server) return 'http2';
  if (!isHttpServer(server)) return 'other';
  return 'setSecureContext' in server ? 'https' : 'http';
}

/** Whether `server` serves what the module exports: itself, its handler, or the framework's app around it. */
export function serves(server: Server, exported: unknown): boolean {
  if (server === exported) return true;
  if (typeof exported === 'function') return server.listeners('request').some((listener) => listener === exported);
  if (!isObject(exported)) return false;
  return exported.server === server || (can(exported, 'getHttpServer') && exported.getHttpServer() === server);
}
