/** The HTTP server of a worker: the app behind the limits, the timeouts and the error answers of the contract. */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { http } from '../../platform/node-http.ts';
import type { Brake } from '../admission/memory.ts';
import type { Overload } from '../admission/overload.ts';
import type { App, NodeHandler } from '../app/app.ts';
import { isThenable } from '../app/duck-typing.ts';
import { answerInstead, type Refusal, type RequestLimits, refusalOf, shed, watchBody } from './error-responses.ts';
import { admit, type HandshakeChecks } from './handshake.ts';
import { handshakeRefusal } from './upgrade.ts';

/** Times in seconds, 0 is off. */
export interface ServerSettings extends RequestLimits {
  readonly keepalive: number;
  readonly headerTimeout: number;
  readonly bodyTimeout: number;
  readonly limitHeaderSize: number;
}

export interface ServerEvents {
  /** tsunicorn answered in the app's place. */
  refused(why: Refusal): void;
  /** A connection is about to become a WebSocket, or whatever else the app's `upgrade` or `connect` listener makes of it. */
  upgraded(socket: Socket): void;
  /** A WebSocket handshake came, and the app has no `upgrade` listener. */
  handshakeRefused(): void;
  /** The handler threw or rejected. */
  handlerFailed(error: unknown, request: IncomingMessage): void;
  /** What came was not HTTP, or too slow, or too large; `status` was answered where that was possible. */
  malformed(socket: Socket, status: number, code: string): void;
}

/** How often Node.js looks for requests that exceed their timeouts; its own default of 30 s is too coarse for 10 s. */
export const CHECK_INTERVAL_MS = 1_000;

/** Statuses for what the parser reports; everything else is 400. */
const STATUS_OF: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
};

export interface ServerExtras {
  /** May refuse requests. */
  readonly overload?: Overload | undefined;
  /** May let requests wait. */
  readonly brake?: Brake | undefined;
  /** Wraps the app's handler. */
  readonly around?: (handle: NodeHandler) => NodeHandler;
}

type Dispatch = (request: IncomingMessage, response: ServerResponse) => void;

/** An http.Server that never listens: connections are handed to it by the acceptor. */
export function createServer(
  app: App,
  settings: ServerSettings,
  events: ServerEvents,
  { overload, brake, around = (handle) => handle }: ServerExtras = {},
): Server {
  const server = app.kind === 'server' ? app.server : http.createServer();
  const handle = app.kind === 'server' ? callListeners(server) : app.handle;
  const dispatch = braked(guarded(around(handle), server, settings, events, overload), brake);

  if (app.kind === 'handler') server.on('request', dispatch);
  else {
    const refused = (why: Refusal): void => events.refused(why);
    intercept(server, dispatch, events, { limits: settings, refused, overload, brake });
  }

  server.keepAliveTimeout = settings.keepalive * 1000;
  server.headersTimeout = settings.headerTimeout * 1000;
  server.requestTimeout = settings.bodyTimeout * 1000;
  // One more than allowed, so that too many can be told from just enough: Node.js drops the rest without a word.
  server.maxHeadersCount = settings.limitRequestFields + 1;
  // Documented as options of createServer() alone, but the app may have made the server already.
  Object.assign(server, { maxHeaderSize: settings.limitHeaderSize, connectionsCheckingInterval: CHECK_INTERVAL_MS });
  if (server.listenerCount('clientError') === 0) server.on('clientError', answerMalformed(events));
  // Starts the checks of headersTimeout and requestTimeout. The app's own server has had it already (Capture).
  if (!server.listening) server.emit('listening');
  return server;
}

/** Requests whose client has left while they waited are not served. */
function braked(serve: Dispatch, brake: Brake | undefined): Dispatch {
  if (brake === undefined) return serve;
  return (request, response) => {
    if (!brake.holds) return serve(request, response);
    brake.wait(() => {
      if (!response.destroyed) serve(request, response);
    });
  };
}

function guarded(
  handle: NodeHandler,
  server: Server,
  settings: ServerSettings,
  events: ServerEvents,
  overload: Overload | undefined,
): Dispatch {
  const fail = (error: unknown, request: IncomingMessage, response: ServerResponse): void => {
    events.handlerFailed(error, request);
    answerInstead(response, 500);
  };
  return (request, response) => {
    if (overload?.exceeded) {
      events.refused('overload');
      shed(request, response);
      return;
    }
    const refusal = refusalOf(request, settings);
    if (refusal) {
      events.refused(refusal.why);
      answerInstead(response, refusal.status);
      return;
    }
    const noUpgrade = handshakeRefusal(request, server);
    if (noUpgrade) {
      events.handshakeRefused();
      answerInstead(response, noUpgrade.status, noUpgrade.headers);
      return;
    }
    if (settings.limitBodySize > 0) {
      watchBody(request, settings.limitBodySize, () => {
        events.refused('body_too_large');
        answerInstead(response, 413);
      });
    }
    try {
      const result = handle(request, response);
      if (isThenable(result)) result.then(undefined, (error: unknown) => fail(error, request, response));
    } catch (error) {
      fail(error, request, response);
    }
  };
}

/** All 'request' listeners of a server, those that come later too; the last promise is the one to watch. */
function callListeners(server: Server): NodeHandler {
  return (request, response) => {
    const results = server.listeners('request').map((listener) => listener.call(server, request, response));
    const promises = results.filter(isThenable);
    return promises.length > 0 ? Promise.all(promises) : undefined;
  };
}

/** Puts `dispatch` before the server's own listeners. Listens to nothing: a listener for 'upgrade' alone means yes. */
function intercept(server: Server, dispatch: Dispatch, events: ServerEvents, checks: HandshakeChecks): void {
  const emit = server.emit;
  server.emit = (event: string | symbol, ...args: unknown[]): boolean => {
    const request = args[0] as IncomingMessage;
    if (event === 'request') dispatch(request, args[1] as ServerResponse);
    else if (event === 'upgrade' || event === 'connect') {
      const take = (): void => {
        // Comes before any byte of the new protocol.
        events.upgraded(request.socket);
        // Nobody listens any longer, where it has waited.
        if (!emit.call(server, event, ...args)) request.socket.destroy();
      };
      admit({ request, stream: args[1] as Duplex, take }, checks);
    } else return emit.call(server, event, ...args);
    return true;
  };
}

function answerMalformed(events: ServerEvents) {
  return (error: NodeJS.ErrnoException, socket: Socket & { _httpMessage?: ServerResponse | null }): void => {
    const code = error.code ?? 'ERROR';
    if (code === 'ECONNRESET' || !socket.writable) {
      socket.destroy(error);
      return;
    }
    const status = STATUS_OF[code] ?? 400;
    events.malformed(socket, status, code);
    // An answer into the middle of a response that has begun would corrupt it.
    if (socket._httpMessage?.headersSent) socket.destroy(error);
    else {
      const head = `HTTP/1.1 ${status} ${http.STATUS_CODES[status]}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`;
      socket.end(head, () => socket.destroy());
    }
  };
}
