/**
 * The HTTP side of a worker, put together in the order of a request: accept → peer → connections → node:http → gate →
 * app → the end of the response, where it is counted and logged.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { RequestContext } from '../../context-hook.ts';
import type { WorkerPlan } from '../../messages.ts';
import { AccessLog } from '../../observe/log/access-log.ts';
import { Destination } from '../../observe/log/destination.ts';
import { jsonLines } from '../../observe/log/json.ts';
import { RequestIds, scan, traceIdOf } from '../../observe/log/request-headers.ts';
import type { ServerLog } from '../../observe/log/server-log.ts';
import { textLines } from '../../observe/log/text.ts';
import { fileReader } from '../../platform/kernel/read-file.ts';
import { http } from '../../platform/node-http.ts';
import { MemoryAdmission } from '../admission/memory.ts';
import { type Gauge, groupGauge, type Heap, heapGauge, v8Heap } from '../admission/memory-gauges.ts';
import { Overload } from '../admission/overload.ts';
import type { App } from '../app/app.ts';
import type { WorkerContext } from '../boot.ts';
import { Counters } from '../report/counters.ts';
import type { ProcessMonitor } from '../report/process-stats.ts';
import { Acceptor, type SocketOptions } from './accept.ts';
import { CLIENT_CLOSED_REQUEST, Connections, peerOf } from './connections.ts';
import { answerInstead } from './error-responses.ts';
import { CHECK_INTERVAL_MS, Gate, type GateEvents, type GateOptions } from './gate.ts';
import { trustIn } from './peer.ts';
import { applySettings, type ServerSettings, type SettingsGiven } from './server-settings.ts';

/** For a predecessor that does not say so: it is stuck, or stays because successors die early. */
const LONGEST_WAIT_TO_ACCEPT_MS = 3_000;
/** A late response is noticed within this time, or a quarter of the limit where that is less. */
const LONGEST_TIMEOUT_CHECK_MS = 1_000;

export class HttpService {
  server: Server;
  readonly counters = new Counters();
  readonly accessLog: AccessLog | undefined;
  readonly connections: Connections;
  readonly acceptor: Acceptor;
  readonly memory: MemoryAdmission;
  readonly #plan: WorkerPlan;
  readonly #heap: Heap;
  /** Undefined where its limit is not known. What it found by collecting stays valid when another group is watched. */
  readonly #heapGauge: Gauge | undefined;
  readonly #overload: Overload | undefined;
  readonly #ids = new RequestIds();
  readonly #options: GateOptions & SettingsGiven;
  #accepts = false;

  constructor(context: WorkerContext, app: App, processMonitor: ProcessMonitor) {
    const { plan, channel, log, native, requests } = context;
    const { settings } = plan;
    const isSync = settings.workerClass === 'sync';
    this.#plan = plan;
    this.accessLog = openAccessLog(plan, this.#ids, log);
    this.acceptor = new Acceptor({
      backlog: settings.backlog,
      cap: isSync ? 1 : settings.workerConnections,
      spares: isSync || settings.workerConnections > 0 || plan.memory !== undefined,
      trusts: trustIn(settings.forwardedAllowIps),
      socketOptions: () => this.server as SocketOptions,
      onConnection: (socket, peer, key) => this.connections.add(socket, peer, key),
      needDescriptor: (key) => channel.send({ type: 'need-descriptor', key }),
    });
    this.#heap = v8Heap(native);
    this.#heapGauge = plan.heapLimitBytes === undefined ? undefined : heapGauge(plan.heapLimitBytes, this.#heap);
    this.memory = new MemoryAdmission({
      now: () => performance.now(),
      connections: () => this.connections.size,
      hold: (on) => this.acceptor.pause(on),
      full: (gauge) =>
        channel.send({ type: 'memory-full', rssBytes: processMonitor.rssBytes, heap: gauge === this.#heapGauge }),
    });
    this.#overload = settings.maxEventLoopLag > 0 ? new Overload(settings.maxEventLoopLag * 1000) : undefined;
    this.#options = {
      given: plan.given,
      overruled: (text) => plan.slot === 0 && log.logger.info(`a setting comes before the app: ${text}`), // once per server
      events: this.#gateEvents(app.name, log),
      overload: this.#overload,
      memory: this.memory,
      around: (call) => requests.around(call, (request) => this.#contextOf(request)),
    };
    this.server = createServer(app, settings, this.#options);
    this.connections = new Connections(this.server, !isSync && settings.keepalive > 0, {
      count: (open) => this.acceptor.balance(open),
      finished: (exchange, now, aborted) => {
        const sent = !aborted || exchange.response.headersSent;
        const status = sent ? exchange.response.statusCode : CLIENT_CLOSED_REQUEST;
        this.counters.request(exchange.method, status, now - exchange.startedAt);
        this.accessLog?.request(exchange, status, now);
      },
    });
  }

  /** Accepts from now on. Returns what ends the watching of overload and timeouts; the acceptor ends with the drain. */
  start(): () => void {
    const { settings, memory, waitsToAccept } = this.#plan;
    const limitMs = settings.requestTimeout * 1000;
    const checkMs = Math.min(LONGEST_TIMEOUT_CHECK_MS, limitMs / 4);
    const timer = limitMs > 0 ? setInterval(() => this.#refuseLate(limitMs), checkMs) : undefined;
    const unwatch = this.#overload?.start();
    if (waitsToAccept) setTimeout(() => this.accept(), LONGEST_WAIT_TO_ACCEPT_MS).unref();
    else this.accept();
    this.watchMemory(memory);
    return () => {
      unwatch?.();
      clearInterval(timer);
    };
  }

  /** Idempotent. */
  accept(): void {
    if (this.#accepts) return;
    this.#accepts = true;
    this.acceptor.start(this.#plan.listeners);
  }

  /** The app has begun to listen with another server, which gets all new connections, and requests on the others. */
  moveTo(server: Server): void {
    if (server === this.server) return;
    if (!gates.has(server)) createServer({ kind: 'server', name: '', server }, this.#plan.settings, this.#options);
    gates.get(server)?.succeededBy(undefined);
    gates.get(this.server)?.succeededBy(server);
    this.server = server;
    this.connections.moveTo(server);
  }

  /** `TSUNICORN_REQUEST_TIMEOUT`: a request whose response does not start in time gets 503. */
  #refuseLate(limitMs: number): void {
    const now = performance.now();
    for (const { exchanges } of this.connections) {
      for (const { response, startedAt } of exchanges) {
        if (response.headersSent || now - startedAt < limitMs) continue;
        this.counters.rejected('timeout');
        answerInstead(response, 503);
      }
    }
  }

  /** Undefined: the worker drains and serves what it has, or the group has no limit; then V8 alone guards the heap. */
  watchMemory(memory: WorkerPlan['memory']): void {
    const group = memory && groupGauge(memory, fileReader(), this.#heap);
    this.memory.watch(group ? [group, ...(this.#heapGauge ? [this.#heapGauge] : [])] : []);
  }

  collectGarbage(): void {
    this.#heap.collectAll();
    this.#heap.giveBack();
  }

  #gateEvents(appName: string, { logger }: ServerLog): GateEvents {
    let warned = false;
    return {
      upgraded: (socket) => this.connections.markUpgraded(socket),
      refused: (why) => {
        this.counters.rejected(why);
        if (why !== 'no_websocket' || warned) return;
        warned = true;
        logger.warn(
          `answered a WebSocket handshake with 426, or 400 where it was malformed: ${appName} has no upgrade listener. Export the http.Server that has the listener, not the handler (logged once per worker)`,
        );
      },
      handlerFailed: (err, request, event) => {
        const { method, url } = request;
        const what = event === 'request' ? 'request handler' : `${event} listener`;
        logger.error({ err, ...this.#contextOf(request), method, url }, `the ${what} failed`);
      },
      malformed: (socket, status, code) => {
        const { address: remote } = peerOf(socket);
        this.counters.rejected(status === 408 ? 'timeout' : 'malformed');
        this.accessLog?.malformed(remote, status, code);
        logger.info({ remote, status, code }, 'refused a malformed or slow request');
      },
    };
  }

  #contextOf(request: IncomingMessage): RequestContext {
    const seen = scan(request.rawHeaders);
    const trace = traceIdOf(seen);
    const id = this.#ids.of(this.connections.serialOf(request), seen);
    return { request_id: id, ...(trace !== '' && { trace_id: trace }) };
  }
}

/** Undefined where it is off. Throws HaltServer where it cannot be opened at the start of the server. */
function openAccessLog(plan: WorkerPlan, ids: RequestIds, log: ServerLog): AccessLog | undefined {
  const { settings, slot, started } = plan;
  const { accessLog, accessLogFormat: format } = settings;
  if (accessLog === 'off') return undefined;
  const lines = format.kind === 'json' ? jsonLines(slot, ids) : textLines(format.pieces, process);
  return new AccessLog(new Destination(accessLog, 1, started ? log.complain : undefined), lines);
}

const gates = new WeakMap<Server, Gate>();

/** An http.Server that never listens, behind the gate: the acceptor hands its connections over. */
export function createServer(app: App, settings: ServerSettings, options: GateOptions & SettingsGiven): Server {
  const server = app.kind === 'server' ? app.server : http.createServer();
  const gate = new Gate(server, app, applySettings(server, settings, options), options);
  gates.set(server, gate);
  Object.assign(server, { connectionsCheckingInterval: CHECK_INTERVAL_MS });
  if (server.listenerCount('clientError') === 0) {
    server.on('clientError', (error, socket) => answerMalformed(error, socket as Socket, options.events));
  }
  // Starts the checks of headersTimeout and requestTimeout. The app's own server has had it already (Capture).
  if (!server.listening) server.emit('listening');
  return server;
}

/** Statuses for what the parser reports; everything else is 400. */
const STATUS_OF: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
};

type AnsweringSocket = Socket & { _httpMessage?: ServerResponse | null };

function answerMalformed(error: NodeJS.ErrnoException, socket: AnsweringSocket, events: GateEvents): void {
  const code = error.code ?? 'ERROR';
  if (code === 'ECONNRESET' || !socket.writable) return void socket.destroy(error);
  const status = STATUS_OF[code] ?? 400;
  events.malformed(socket, status, code);
  // An answer into the middle of a response that has begun would corrupt it.
  if (socket._httpMessage?.headersSent) return void socket.destroy(error);
  const head = `HTTP/1.1 ${status} ${http.STATUS_CODES[status]}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`;
  socket.end(head, () => socket.destroy());
}
