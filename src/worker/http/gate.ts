/**
 * The one gate between node:http and the app. Every event with which Node.js hands over a request passes it: memory
 * admission, load shedding, limits, and then the app's listeners, whose failures end here and not the worker.
 */
import { EventEmitter } from 'node:events';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Settings } from '../../config/settings.ts';
import { hasField } from '../../observe/log/request-headers.ts';
import { http } from '../../platform/node-http.ts';
import type { MemoryAdmission } from '../admission/memory.ts';
import type { Overload } from '../admission/overload.ts';
import type { App } from '../app/app.ts';
import { isThenable } from '../app/duck-typing.ts';
import { answerInstead, type Refusal, refuseHandshake, shed } from './error-responses.ts';

export type RequestLimits = Pick<Settings, 'limitRequestLine' | 'limitRequestFields' | 'limitBodySize'>;

/**
 * Node.js makes a response for the first three; `upgrade` and `connect` hand over the connection itself. A
 * `dropRequest` is told and not asked: Node.js answers 503.
 */
export type Handover = 'request' | 'checkContinue' | 'checkExpectation' | 'upgrade' | 'connect' | 'dropRequest';

export interface GateEvents {
  refused(why: Refusal): void;
  /** A connection is about to become a WebSocket, or whatever the app's listener makes of it. */
  upgraded(socket: Socket): void;
  handlerFailed(error: unknown, request: IncomingMessage, event: Handover): void;
  /** What came was not HTTP, or too slow, or too large; `status` was answered where that was possible. */
  malformed(socket: Socket, status: number, code: string): void;
}

export type CallApp = (request: IncomingMessage, event: Handover, args: Args) => void;

export interface GateOptions {
  readonly events: GateEvents;
  readonly overload?: Overload | undefined;
  readonly memory?: MemoryAdmission | undefined;
  readonly around?: (call: CallApp) => CallApp;
}

/** The arguments of the event; a handshake has the head of the new protocol as well. */
type Args = readonly [request: IncomingMessage, target: ServerResponse | Duplex, ...rest: unknown[]];

/** How often Node.js looks for requests that exceed their timeouts; its default of 30 s is too coarse for 10 s. */
export const CHECK_INTERVAL_MS = 1_000;

const REJECTION: typeof import('node:events').captureRejectionSymbol = Symbol.for('nodejs.rejection') as never;

export class Gate {
  readonly #server: Server;
  readonly #app: App;
  readonly #limits: RequestLimits;
  readonly #options: GateOptions;
  readonly #call: CallApp;
  readonly #emit: Server['emit'];
  #successor: Server | undefined;

  /** Puts itself before the listeners of `server`, those that come later too. */
  constructor(server: Server, app: App, limits: RequestLimits, options: GateOptions) {
    this.#server = server;
    this.#app = app;
    this.#limits = limits;
    this.#options = options;
    this.#call = options.around?.(this.#callApp) ?? this.#callApp;
    // Without a listener Node.js says 100 before the gate could refuse (RFC 9110, section 10.1.1).
    server.on('checkContinue', continueByDefault);
    const { emit } = server;
    // Agents (OpenTelemetry, APM) patch emit() of http.Server. It is called with a server whose one listener is the app.
    const instrumented: Server = Object.create(server);
    Reflect.apply(EventEmitter, instrumented, []); // listeners of its own
    instrumented.on('request', (request, response) => this.#call(request, 'request', [request, response]));
    this.#emit = emit.bind(instrumented);
    // A listener would not do: one for 'upgrade' alone tells Node.js that the app takes handshakes.
    server.emit = (event: string | symbol, ...args: unknown[]): boolean => {
      switch (event) {
        case 'request':
        case 'checkContinue':
        case 'checkExpectation':
        case 'upgrade':
        case 'connect':
        case 'dropRequest':
          if (this.#successor) return this.#successor.emit(event, ...args);
          this.#pass(event, args as unknown as Args);
          return true;
        default:
          return Reflect.apply(emit, server, [event, ...args]);
      }
    };
  }

  /** What comes on connections of this server is now for `successor`, behind a gate of its own; undefined ends that. */
  succeededBy(successor: Server | undefined): void {
    this.#successor = successor;
    // Without a listener Node.js would not hand these over.
    for (const event of ['upgrade', 'connect'] as const) {
      this.#server.off(event, forSuccessor);
      if (successor && successor.listenerCount(event) > 0) this.#server.on(event, forSuccessor);
    }
  }

  #pass(event: Handover, args: Args): void {
    const { memory } = this.#options;
    if (event === 'dropRequest') this.#serve(event, args);
    else if (memory?.holds) this.#hold(memory, event, args);
    else this.#decide(event, args);
  }

  #decide(event: Handover, args: Args): void {
    const { events, overload } = this.#options;
    const [request, target] = args;
    const handshake = isHandshake(event);
    let refusal = overload?.exceeded ? OVERLOADED : refusalOf(request, this.#limits);
    if (!handshake) refusal ??= refusalOfWebSocket(request, this.#server);
    if (refusal) {
      events.refused(refusal.why);
      if (handshake) refuseHandshake(request, target as Duplex, refusal.status, refusal.headers);
      else if (refusal === OVERLOADED) shed(request, target as ServerResponse, refusal.status, refusal.headers);
      else answerInstead(target as ServerResponse, refusal.status, refusal.headers);
      return;
    }
    if (this.#limits.limitBodySize > 0 && !this.#watchBody(event, args)) return;
    if (handshake) events.upgraded(request.socket); // before any byte of the new protocol
    this.#serve(event, args);
  }

  #watchBody(event: Handover, args: Args): boolean {
    return watchBody(args[0], this.#limits.limitBodySize, () => {
      this.#options.events.refused('body_too_large');
      this.#refuse(event, args, 413);
    });
  }

  #serve(event: Handover, args: Args): void {
    try {
      if (event === 'checkContinue' && this.#server.listeners(event).every((known) => known === continueByDefault)) {
        (args[1] as ServerResponse).writeContinue();
        event = 'request';
      }
      event === 'request' ? this.#emit(event, args[0], args[1]) : this.#call(args[0], event, args);
    } catch (error) {
      this.#failed(error, event, args);
    }
  }

  /** As EventEmitter.emit() does, but that a promise of any listener is watched. */
  readonly #callApp: CallApp = (request, event, args) => {
    if (event === 'request' && this.#app.kind === 'handler') {
      return this.#watch(this.#app.handle(request, args[1] as ServerResponse), event, args);
    }
    const listeners = this.#server.rawListeners(event); // a copy, in which `once` still removes itself
    for (const listener of listeners) this.#watch(Reflect.apply(listener, this.#server, args), event, args);
    // The app removed its listener while this handshake waited for memory.
    if (listeners.length === 0 && isHandshake(event)) request.socket.destroy();
  };

  #watch(result: unknown, event: Handover, args: Args): void {
    if (isThenable(result)) result.then(undefined, (error: unknown) => this.#rejected(error, event, args));
  }

  /** The app may have a handler of its own for rejections (`events.captureRejectionSymbol`). */
  #rejected(error: unknown, event: Handover, args: Args): void {
    const own = this.#server[REJECTION];
    if (own === undefined || own === http.Server.prototype[REJECTION]) return this.#failed(error, event, args);
    try {
      Reflect.apply(own, this.#server, [error, event, ...args]);
    } catch (failure) {
      this.#failed(failure, event, args);
    }
  }

  #failed(error: unknown, event: Handover, args: Args): void {
    const { events } = this.#options;
    try {
      events.handlerFailed(error, args[0], event);
    } catch {
      events.handlerFailed(new Error('an error that cannot be read'), args[0], event); // a getter of it throws
    }
    if (event !== 'dropRequest') this.#refuse(event, args, 500);
  }

  #refuse(event: Handover, [request, target]: Args, status: number): void {
    if (!isHandshake(event)) answerInstead(target as ServerResponse, status);
    else if (request.socket.bytesWritten === 0) refuseHandshake(request, target as Duplex, status);
    else target.destroy(); // the app may have answered already
  }

  /** A handshake waits without listeners: Node.js has taken its own off the socket. */
  #hold(memory: MemoryAdmission, event: Handover, args: Args): void {
    const [{ socket }, stream] = args;
    if (!isHandshake(event)) return memory.wait(() => void (stream.destroyed || this.#decide(event, args)));
    const ignore = (): void => undefined; // a reset would be an uncaught exception
    // Only a reader learns of the end of a connection. What comes before it is the app's.
    const look = (): void => {
      if (socket.readableLength === 0) socket.destroy();
    };
    stream.on('error', ignore);
    socket.on('readable', look);
    memory.wait(() => {
      socket.off('readable', look);
      // In the next tick the stream flows for a 'data' listener, as if there had been no 'readable' listener.
      process.nextTick(() => {
        stream.off('error', ignore);
        if (!socket.destroyed) this.#decide(event, args);
      });
    });
  }
}

/** Stands in for an app without a `checkContinue` listener: {@link Gate} answers 100 once it lets the request in. */
function continueByDefault(): void {}

/** Never called: {@link Gate} passes the event on before. */
function forSuccessor(): void {}

function isHandshake(event: Handover): boolean {
  return event === 'upgrade' || event === 'connect';
}

interface HeadRefusal {
  readonly status: number;
  readonly why: Refusal;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Load shedding. A worker catches up within a second, if at all. */
const OVERLOADED: HeadRefusal = { status: 503, why: 'overload', headers: { 'Retry-After': '1' } };

/** What a method and `HTTP/1.1` with two spaces and a line end add to the target in the request line. */
const LINE_OVERHEAD = ' '.length + ' HTTP/1.1\r\n'.length;

export function refusalOf(request: IncomingMessage, limits: RequestLimits): HeadRefusal | undefined {
  const { url = '', method = '', rawHeaders } = request;
  if (url.length + method.length + LINE_OVERHEAD > limits.limitRequestLine) return { status: 414, why: 'uri_too_long' };
  if (rawHeaders.length > 2 * limits.limitRequestFields) return { status: 431, why: 'too_many_fields' };
  if (limits.limitBodySize > 0 && Number(request.headers['content-length'] ?? 0) > limits.limitBodySize) {
    return { status: 413, why: 'body_too_large' };
  }
  return undefined;
}

/**
 * Calls `exceeded` once when a body of unknown length (chunked) is longer than `limit` bytes. Answers false if it is so
 * already: Node.js may hand over a handshake behind a part of its body.
 */
export function watchBody(request: IncomingMessage, limit: number, exceeded: () => void): boolean {
  if (request.headers['transfer-encoding'] === undefined) return true;
  const push = request.push;
  let received = request.readableLength;
  if (received > limit) {
    exceeded();
    return false;
  }
  request.push = (chunk: Buffer | string | null, encoding?: BufferEncoding): boolean => {
    received += chunk === null ? 0 : chunk.length;
    if (received <= limit) return push.call(request, chunk, encoding);
    request.push = () => false;
    exceeded();
    return false;
  };
  return true;
}

const WEBSOCKET_KEY = /^[\w+/]{21}[AQgw]==$/; // 16 bytes in base64 (RFC 6455, section 4.2.1)

const NO_WEBSOCKET: HeadRefusal = {
  status: 426,
  why: 'no_websocket',
  // The protocols that would do (RFC 9110, section 15.5.22); a sender of Upgrade names it in Connection.
  headers: { Upgrade: 'HTTP/1.1', Connection: 'close, Upgrade' },
};

/**
 * A WebSocket handshake at an app without an `upgrade` listener. Node.js hands it over as an ordinary request, and a
 * page with status 200 is a riddle to a WebSocket client. Any other Upgrade, such as the h2c that curl offers, is
 * ignored, as RFC 9110, section 7.8 allows.
 */
export function refusalOfWebSocket(request: IncomingMessage, server: Server): HeadRefusal | undefined {
  if (!hasField(request.rawHeaders, 'upgrade') || server.listenerCount('upgrade') > 0) return undefined;
  const { headers } = request;
  if (!hasToken(headers.upgrade, 'websocket') || !hasToken(headers.connection, 'upgrade')) return undefined;
  const isValid = request.method === 'GET' && WEBSOCKET_KEY.test(headers['sec-websocket-key'] ?? '');
  return isValid ? NO_WEBSOCKET : { status: 400, why: 'no_websocket' };
}

function hasToken(list: string | undefined, token: string): boolean {
  return (list ?? '').split(',').some((element) => element.trim().toLowerCase() === token);
}
