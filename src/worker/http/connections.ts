/**
 * The open connections of this worker and the requests in flight on them.
 *
 * Where a request begins and ends is the one thing that does not pass the gate: Node.js says so on diagnostics_channel,
 * `http.server.request.start` and `http.server.response.finish`. That costs 2 % of a "hello world", a 'finish' listener
 * on each response 10 %, and it tells of requests that Node.js answers by itself, too.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { answerPoll, type PollingRequest, pollingRequest } from './long-polls.ts';
import { Peer } from './peer.ts';

/** One request and its response. `method` and `url` are as they arrived: routers rewrite them. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly connection: Connection;
  readonly method: string;
  readonly url: string;
  /** Its number in this worker. */
  readonly serial: number;
  /** performance.now() in milliseconds. */
  readonly startedAt: number;
}

export class Connection {
  readonly socket: Socket;
  readonly peer: Peer;
  /** That it was handed to. */
  readonly server: CountingServer;
  /** Key of the listener that it came from. */
  readonly listener: string;
  /** It ends with its next response. */
  closing = false;
  /** In flight, oldest first; more than one when the client pipelines. */
  readonly exchanges: Exchange[] = [];
  /** Bytes sent up to the end of the last response that was logged. */
  sent = 0;
  /** The access log's. */
  declare peerPart?: Uint8Array;
  idleSince = performance.now();
  /** Bytes received when it became idle: more means that a request is on its way. */
  receivedWhenIdle = 0;
  /** The `idleSince` at which {@link Connections.closeIdle} last found it idle for long enough. */
  foundIdle: number | undefined;
  /** WebSocket and the like: no longer HTTP, and never idle. */
  upgraded = false;

  constructor(socket: Socket, peer: Peer, server: CountingServer, listener: string) {
    this.socket = socket;
    this.peer = peer;
    this.server = server;
    this.listener = listener;
  }
}

/** Of an accepted socket, or of one that the app itself handed to node:http. */
export function peerOf(socket: TrackedSocket): Peer {
  return socket[CONNECTION]?.peer ?? Peer.untrusted(socket);
}

export interface ConnectionEvents {
  count(open: number): void;
  /** A response is complete, or its client went away (`aborted`). */
  finished(exchange: Exchange, now: number, aborted: boolean): void;
}

/** nginx's code for a response that its client cut short. */
export const CLIENT_CLOSED_REQUEST = 499;

const CHECK_MS = 10;

const CONNECTION = Symbol('tsunicorn.connection');
const SERIAL = Symbol('tsunicorn.serial');

type TrackedSocket = Socket & { [CONNECTION]?: Connection };
type TrackedRequest = IncomingMessage & { [SERIAL]?: number };

interface ExchangeMessage {
  readonly request: TrackedRequest;
  readonly response: ServerResponse;
  readonly socket: TrackedSocket;
  readonly server: Server;
}

export class Connections {
  #server: CountingServer;
  readonly #events: ConnectionEvents;
  readonly #open = new Set<Connection>();
  #closing: boolean;
  #hadLongPolls = false;
  #inFlight = 0;
  #serial = 0;
  /** Of connections that are closed or have left HTTP. */
  #sentBytes = 0;

  /** `keepAlive` false: every response ends its connection from the start (worker class sync, no keep-alive). */
  constructor(server: Server, keepAlive: boolean, events: ConnectionEvents) {
    this.#server = server as CountingServer;
    this.#closing = !keepAlive;
    this.#events = events;
    subscribe('http.server.request.start', this.#onStart);
    subscribe('http.server.response.finish', this.#onFinish);
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get size(): number {
    return this.#open.size;
  }

  /** Bytes sent so far, heads and bodies, also of responses under way. */
  get sentBytes(): number {
    let bytes = this.#sentBytes;
    for (const { socket, upgraded } of this.#open) if (!upgraded) bytes += sentOn(socket);
    return bytes;
  }

  [Symbol.iterator](): IterableIterator<Connection> {
    return this.#open.values();
  }

  /** New connections go to `server`; the others end with their next response. */
  moveTo(server: Server): void {
    this.#server = server as CountingServer;
    for (const connection of this.#open) endAfterResponse(connection);
  }

  /** Whether the requests that are in flight now are answered within `ms`. */
  async answered(ms: number): Promise<boolean> {
    const waiting = [...this.#open].flatMap(({ exchanges }) => exchanges);
    for (
      const end = performance.now() + ms;
      performance.now() < end;
      await sleep(CHECK_MS, undefined, { ref: false })
    ) {
      if (waiting.every((exchange) => !exchange.connection.exchanges.includes(exchange))) return true;
    }
    return false;
  }

  add(socket: TrackedSocket, peer: Peer, listener: string): void {
    if (!hasRoom(this.#server)) return drop(this.#server, socket);
    this.#server._connections++;
    const connection = new Connection(socket, peer, this.#server, listener);
    socket[CONNECTION] = connection;
    this.#open.add(connection);
    socket.once('close', () => this.#remove(connection));
    this.#events.count(this.#open.size);
    this.#server.emit('connection', socket);
  }

  markUpgraded(socket: TrackedSocket): void {
    const connection = socket[CONNECTION];
    if (connection === undefined || connection.upgraded) return;
    connection.upgraded = true;
    this.#sentBytes += sentOn(socket);
  }

  /** The number of a request in this worker. Node.js announces no handshakes: they get theirs here. */
  serialOf(request: TrackedRequest): number {
    request[SERIAL] ??= ++this.#serial;
    return request[SERIAL];
  }

  /** From now on every response whose head is not sent yet says `Connection: close`. */
  closeAfterResponse(): void {
    this.#closing = true;
    for (const { exchanges } of this.#open) for (const e of exchanges) endConnectionWith(e.response);
  }

  /**
   * The same for the connections of one listener: its slot has a worker of its own again. A proxy in front would go on
   * using the ones that it keeps, and its clients would reach two workers.
   */
  closeAfterResponseFrom(listener: string): void {
    for (const connection of this.#open) {
      if (connection.listener !== listener) continue;
      endAfterResponse(connection);
    }
  }

  /**
   * Closes the connections that have been idle for `quietMs`, at the second call that finds them so: in between the loop
   * has read what had arrived. After a long turn it has not yet, on connections accepted in that turn.
   */
  closeIdle(quietMs: number, now: number): void {
    for (const c of this.#open) {
      const idle = c.exchanges.length === 0 && !c.upgraded && c.socket.bytesRead === c.receivedWhenIdle;
      if (!idle || now - c.idleSince < quietMs) continue;
      if (c.foundIdle === c.idleSince) c.socket.destroy();
      else c.foundIdle = c.idleSince;
    }
  }

  /** Whether a client waited in one of Engine.IO's long polls at this call, or at one before. */
  hadLongPolls(): boolean {
    this.#hadLongPolls ||= this.#polling().some(({ close }) => close !== undefined);
    return this.#hadLongPolls;
  }

  /**
   * Answers the long polls that wait, so that their clients connect anew. Returns how many wait still: those whose client
   * sends a message just now.
   */
  endLongPolls(): { readonly ended: number; readonly left: number } {
    const polling = this.#polling();
    const sending = new Set(polling.filter(({ close }) => close === undefined).map(({ session }) => session));
    const idle = polling.filter(({ close, session }) => close !== undefined && !sending.has(session));
    for (const { response, close = '' } of idle) answerPoll(response, close);
    return { ended: idle.length, left: sending.size };
  }

  #polling(): (PollingRequest & { readonly response: ServerResponse })[] {
    return [...this.#open].flatMap(({ exchanges }) =>
      exchanges.flatMap(({ method, url, response }) => {
        const request = response.headersSent ? undefined : pollingRequest(method, url);
        return request === undefined ? [] : { ...request, response };
      }),
    );
  }

  /**
   * Ends what has no end of its own: WebSockets, and responses that have begun, such as server-sent events. Their
   * clients get all that was sent, and then the end of the connection; a kill might reset it.
   */
  endStreams(): void {
    for (const { socket, upgraded, exchanges } of this.#open) {
      if (!socket.writable || !(upgraded || exchanges[0]?.response.headersSent)) continue;
      socket.end();
      // Closing a socket with unread data resets the connection (RFC 1122, section 4.2.2.13).
      socket.resume();
    }
  }

  /** Closes what {@link endStreams} has ended: the client had its time to close. */
  closeEnded(): void {
    for (const { socket } of this.#open) if (socket.writableFinished) socket.destroy();
  }

  dispose(): void {
    unsubscribe('http.server.request.start', this.#onStart);
    unsubscribe('http.server.response.finish', this.#onFinish);
  }

  readonly #onStart = (message: unknown): void => {
    const { request, response, socket, server } = message as ExchangeMessage;
    const connection = socket[CONNECTION];
    if (connection === undefined || server !== connection.server) return;
    connection.exchanges.push({
      request,
      response,
      connection,
      method: request.method ?? '',
      url: request.url ?? '',
      serial: this.serialOf(request),
      startedAt: performance.now(),
    });
    this.#inFlight++;
    if (this.#closing || connection.closing) endConnectionWith(response);
  };

  readonly #onFinish = (message: unknown): void => {
    const { response, socket, server } = message as ExchangeMessage;
    const connection = socket[CONNECTION];
    if (connection === undefined || server !== connection.server) return;
    const { exchanges } = connection;
    const exchange = exchanges[0];
    if (exchange?.response !== response) return;
    exchanges.shift();
    const now = performance.now();
    this.#inFlight--;
    this.#events.finished(exchange, now, false);
    connection.idleSince = now;
    connection.receivedWhenIdle = socket.bytesRead;
  };

  #remove(connection: Connection): void {
    this.#open.delete(connection);
    connection.server._connections--;
    if (!connection.upgraded) this.#sentBytes += sentOn(connection.socket);
    this.#inFlight -= connection.exchanges.length;
    const now = performance.now();
    for (const exchange of connection.exchanges.splice(0)) this.#events.finished(exchange, now, true);
    this.#events.count(this.#open.size);
  }
}

/** Node.js counts the connections of a server that listens by itself. */
type CountingServer = Server & { _connections: number };

/** As Node.js decides it (`net.Server.maxConnections`). */
function hasRoom({ maxConnections, _connections: open }: CountingServer): boolean {
  return (maxConnections ?? Number.POSITIVE_INFINITY) > open;
}

function drop(server: Server, socket: Socket): void {
  const { localAddress, localPort, localFamily, remoteAddress, remotePort, remoteFamily } = socket;
  socket.destroy();
  server.emit('drop', { localAddress, localPort, localFamily, remoteAddress, remotePort, remoteFamily });
}

/** Bytes that the kernel took. `bytesWritten` adds what waits, which may never be sent. */
function sentOn(socket: Socket & { readonly _bytesDispatched?: number }): number {
  return socket._bytesDispatched ?? socket.bytesWritten;
}

function endAfterResponse(connection: Connection): void {
  connection.closing = true;
  for (const { response } of connection.exchanges) endConnectionWith(response);
}

/** Where node:http turns fields into bytes: those of setHeader() and of writeHead(), in any of its forms. */
type HeadWriter = ServerResponse & { _storeHeader?: (firstLine: string, fields: unknown) => unknown };

/** The connection ends with `response`, which says so if its head is not sent yet, whatever the app sets. */
function endConnectionWith(response: HeadWriter): void {
  response.shouldKeepAlive = false;
  const { _storeHeader: storeHead } = response;
  if (response.headersSent || storeHead === undefined) return;
  response._storeHeader = (firstLine, fields) => {
    const set = response.getHeader('connection');
    if (set !== undefined) response.setHeader('connection', closing('connection', set) as string);
    // Those of setHeader() are node:http's own object, which has no copy.
    const given = response.getHeaderNames().length > 0 ? fields : withClose(fields);
    return Reflect.apply(storeHead, response, [firstLine, given]);
  };
}

/** Fields as writeHead() takes them: names and values in turn, pairs, or an object. */
function withClose(fields: unknown): unknown {
  if (typeof fields !== 'object' || fields === null) return fields;
  if (!Array.isArray(fields)) {
    return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, closing(name, value)]));
  }
  if (Array.isArray(fields[0])) return fields.map(([name, value]) => [name, closing(name, value)]);
  return fields.map((value, i) => (i % 2 === 1 ? closing(fields[i - 1], value) : value));
}

/** `Connection: keep-alive`, of the app or of what it proxies, would keep the connection. */
function closing(name: unknown, value: unknown): unknown {
  return String(name).toLowerCase() === 'connection' && !/close|upgrade/i.test(String(value)) ? 'close' : value;
}
