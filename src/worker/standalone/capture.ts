/**
 * Programs that call `listen()` themselves. `net.Server.prototype.listen` is replaced before the app is imported: the
 * http.Server meant for the program's clients listens in name only and becomes the app; its extra servers (metrics on
 * their own port, a raw TCP protocol) listen for real, with SO_REUSEPORT so that all workers can.
 */
import type { Server as HttpServer } from 'node:http';
import net, { type Server } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { AppLoadError } from '../../errors.ts';
import type { WorkerPlan } from '../../messages.ts';
import { isHttpServer } from '../app/duck-typing.ts';
import { CHECK_INTERVAL_MS } from '../http/gate.ts';
import { watchAssignments } from '../http/server-settings.ts';
import { CapturedServer, kindOf, serves } from './captured-server.ts';
import { describeCall, type ListenCall, NO_CALL, parseListenCall } from './listen-call.ts';

export interface CaptureOptions extends Pick<WorkerPlan, 'ports' | 'checkOnly'> {
  /** PORT in the environment: decides which of several servers is the app's. */
  readonly port: string | undefined;
  /** Of `TSUNICORN_ADMIN_BIND`; undefined if it has none. */
  readonly adminPort: number | undefined;
  /**
   * The app closed its server while it is served. `handOver` completes its `close()`, and resolves with whether another
   * takes its place within a second: so a holding page makes way for the app.
   */
  readonly onClose: (handOver: () => Promise<boolean>) => void;
  /** While another is served, the app began to listen with `server`, which takes its place. */
  readonly onTakeOver: (server: HttpServer) => void;
  readonly warn: (message: string) => void;
}

/** Only Linux spreads connections by SO_REUSEPORT; where it does not, libuv refuses the option (uv_tcp_bind). */
const CAN_SHARE_PORTS = process.platform === 'linux';

/** A program that closes its server to listen with another does so in the callback. */
const LONGEST_VACANCY_MS = 1_000;

export class Capture {
  readonly #options: CaptureOptions;
  readonly #listen: (server: Server, args: unknown[]) => Server;
  /** In the order of their listen() calls. */
  readonly #captured = new Map<Server, CapturedServer>();
  #changed = Promise.withResolvers<void>();
  /** The app's server is known; what listens from now on is an extra server. */
  #serving = false;
  #exported: unknown;
  #isNamed = false;
  #app: CapturedServer | undefined;
  #served: HttpServer | undefined;
  /** With which a server of another protocol listens. */
  #other: ListenCall | undefined;
  /** The app has closed its server, which listened so; `taken` when another takes its place. */
  #vacant: { readonly call: ListenCall; readonly taken: (is: boolean) => void } | undefined;

  constructor(options: CaptureOptions) {
    this.#options = options;
    watchAssignments();
    const { listen } = net.Server.prototype;
    this.#listen = (server, args) => Reflect.apply(listen, server, args);
    const capture = this;
    net.Server.prototype.listen = function (this: Server, ...args: unknown[]): Server {
      return capture.#onListen(this, args);
    } as typeof listen;
  }

  /** Waits for a server that can be the app's. */
  async listening(): Promise<void> {
    while (this.#candidates().length === 0) await this.#changed.promise;
  }

  /** Why the program cannot be served, though it listens; undefined if it does not. */
  get unservable(): AppLoadError | undefined {
    for (const { server, call, listening } of this.#captured.values()) {
      const kind = kindOf(server);
      if (listening && (kind === 'https' || kind === 'http2')) return onlySecure(kind, call);
    }
    return this.#other && onlyOther(this.#other);
  }

  /**
   * The server to serve for a module that exports `exported`, and what it listens on, for people; undefined to serve the
   * export. `isNamed`: `TSUNICORN_APP` names the export, so another server comes before it only if it is on PORT.
   */
  choose(exported: unknown, isNamed: boolean): { readonly server: HttpServer; readonly asked: string } | undefined {
    const candidates = this.#candidates();
    const exportsAnother = (isNamed && exported !== undefined) || (isHttpServer(exported) && !exported.listening);
    this.#exported = exported;
    this.#isNamed = isNamed;
    this.#app =
      candidates.find(({ server }) => serves(server, exported)) ??
      candidates.find(({ call }) => this.#isOnPort(call)) ??
      (exportsAnother ? undefined : (candidates.find(({ call }) => call.port !== 0) ?? candidates[0]));
    return this.#app && { server: this.#app.server as HttpServer, asked: describeCall(this.#app.call) };
  }

  /** Whether a server of the program listens there, a port or a path, in name only. */
  isInName(place: number | string): boolean {
    return [...this.#captured.values()].some(
      ({ listening, call }) => listening && (call.port || call.options.path) === place,
    );
  }

  /** {@link choose}, after a wait. */
  chooseAgain(): HttpServer | undefined {
    return this.choose(this.#exported, this.#isNamed)?.server;
  }

  /** The app is `server`, or a handler if undefined. The program's other servers now listen for real. */
  settled(server: HttpServer | undefined): void {
    this.#serving = true;
    if (server && !server.listening) this.#app = this.#capture(server, NO_CALL);
    this.#served = server;
    if (this.#options.checkOnly) return;
    for (const [other, captured] of [...this.#captured]) {
      const { listening, call } = captured;
      if (captured === this.#app || !listening || this.#isOnAppPort(call)) continue;
      this.#captured.delete(other);
      captured.end();
      swallowListening(other); // the program has had it
      this.#listenForReal(other, call, [call.options]);
    }
  }

  /** The server that the worker made, if the app is not a server itself. */
  servedBy(server: HttpServer): void {
    this.#served = server;
  }

  /** The drain begins, and decides from now on when idle connections are closed. */
  keepIdleConnections(): void {
    for (const captured of this.#captured.values()) captured.keepIdleConnections();
  }

  /** The drain is over: what waits for the server to close may go on. */
  end(): void {
    for (const captured of this.#captured.values()) captured.drained();
  }

  #candidates(): CapturedServer[] {
    return [...this.#captured.values()].filter((c) => c.listening && kindOf(c.server) === 'http');
  }

  #onListen(server: Server, args: unknown[]): Server {
    const call = parseListenCall(args);
    const captured = this.#captured.get(server);
    if (call === undefined || (server.listening && !captured?.listening)) return this.#listen(server, args);
    if (captured?.listening && captured.call !== NO_CALL) throw alreadyListens();
    const kind = kindOf(server);
    const isApp = this.#serving ? kind === 'http' && this.#isAppAgain(server, call) : kind !== 'other';
    if (!isApp && !this.#options.checkOnly) return this.#listenForReal(server, call, args);
    const replaced = this.#capture(server, call);
    const served = this.#serving ? this.#served : undefined;
    // A server that was exported, or made for what was exported, listens in name only, if at all.
    const inPlace = this.#app?.listening && this.#app.call !== NO_CALL ? this.#app : undefined;
    if (server === this.#app?.server || (served && !inPlace)) this.#app = replaced;
    if (!served || !isHttpServer(server)) return server;
    if (inPlace && inPlace.server !== server) forwardUpgrades(served, server);
    else {
      this.#served = server;
      this.#options.onTakeOver(server);
      this.#vacant?.taken(true);
    }
    return server;
  }

  async #handOver({ call }: CapturedServer): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#vacant = { call, taken: resolve };
    for (const each of this.#captured.values()) each.completeClose();
    const taken = await Promise.race([promise, sleep(LONGEST_VACANCY_MS, false, { ref: false })]);
    this.#vacant = undefined;
    return taken;
  }

  #capture(server: Server, call: ListenCall): CapturedServer {
    this.#captured.get(server)?.end();
    this.#captured.delete(server); // it comes last now
    if (isHttpServer(server)) Object.assign(server, { connectionsCheckingInterval: CHECK_INTERVAL_MS });
    const captured = new CapturedServer(server, call, this.#options.ports[0] ?? 0, (c) => {
      if (!this.#serving || this.#vacant || kindOf(server) === 'other' || server !== this.#app?.server) return c.end();
      c.keepIdleConnections(); // they are the next server's, or the drain's
      this.#options.onClose(() => this.#handOver(c));
    });
    this.#captured.set(server, captured);
    // In the next turn: among servers that begin to listen together, choose() picks by its rules and not by their order.
    setImmediate(() => {
      this.#changed.resolve();
      this.#changed = Promise.withResolvers();
    });
    return captured;
  }

  #listenForReal(server: Server, call: ListenCall, args: unknown[]): Server {
    const { ports, adminPort, warn } = this.#options;
    const { port, options, callback } = call;
    if (options.path !== undefined) {
      warn(
        `the app also listens on ${options.path}, which only one worker can hold at a time: serve it from another process, or run one worker (TSUNICORN_WORKERS=1)`,
      );
    }
    if (port === undefined || port === 0) return this.#listen(server, args);
    const answers = server.listenerCount('connection') > 0;
    if (answers && kindOf(server) === 'other') this.#other ??= call;
    if (ports.includes(port)) {
      if (!answers) return this.#capturedProbe(server, call, port);
      this.#refusePort(server, call, port);
      return server;
    }
    if (port === adminPort) {
      refuse(server, port, new Error(`listen EADDRINUSE: ${ADMIN_PORT(port)}`));
      return server;
    }
    if (answers) {
      warn(
        `the app also listens on port ${port}: every worker does, and the kernel spreads the connections (SO_REUSEPORT), so a scrape of metrics there sees one worker at a time. tsunicorn neither counts nor drains them`,
      );
    }
    return this.#listen(server, [{ ...options, reusePort: CAN_SHARE_PORTS }, callback]);
  }

  /**
   * A server that only asks whether `port` is free, as get-port and listhen do before the app listens on it: it is, for
   * this app. One that takes connections after all gets the error then.
   */
  #capturedProbe(server: Server, call: ListenCall, port: number): Server {
    const captured = this.#capture(server, call);
    server.on('newListener', (event) => {
      if (event === 'connection' && captured.listening) this.#refusePort(server, call, port);
    });
    return server;
  }

  /** Another try cannot help a program that has no http.Server by then. */
  #refusePort(server: Server, call: ListenCall, port: number): void {
    const isAlone = !this.#serving && this.#candidates().length === 0;
    refuse(server, port, isAlone ? onlyOther(call) : new Error(`listen EADDRINUSE: ${TAKEN_PORT(port)}`));
  }

  #isOnPort({ port, options }: ListenCall): boolean {
    const address = port ? String(port) : options.path;
    return address !== undefined && address === this.#options.port;
  }

  /** The app on another address, as Fastify listens for localhost. */
  #isOnAppPort({ port }: ListenCall): boolean {
    return port !== undefined && port !== 0 && port === this.#app?.call.port;
  }

  /** Whether a server that begins to listen while the app is served is the app once more. */
  #isAppAgain(server: Server, call: ListenCall): boolean {
    if (server === this.#served || serves(server, this.#exported) || this.#isOnAppPort(call)) return true;
    const left = this.#vacant?.call;
    if (left && call.port === left.port && call.options.path === left.options.path) return true;
    return this.#isOnPort(call) && (this.#app?.call.port ?? 0) === 0;
  }
}

/** For a second server of the app that listens beside the first, such as on another host: WebSockets are its own. */
function forwardUpgrades(from: HttpServer, to: Server): void {
  const forward = (): void => {
    from.on('upgrade', (...args) =>
      Promise.all(to.rawListeners('upgrade').map(async (listener) => Reflect.apply(listener, to, args))),
    );
  };
  if (to.listenerCount('upgrade') > 0) return forward();
  to.on('newListener', function first(event) {
    if (event !== 'upgrade') return;
    to.off('newListener', first);
    forward();
  });
}

const ADMIN_PORT = (port: number): string =>
  `port ${port} is tsunicorn's admin port: move that (TSUNICORN_ADMIN_BIND), or this server of the app`;

function onlySecure(kind: 'https' | 'http2', call: ListenCall): AppLoadError {
  const what = kind === 'https' ? 'an https server' : 'an HTTP/2 server';
  return new AppLoadError(
    `the app listens only with ${what}, on ${describeCall(call)}, but workers speak plain HTTP/1.1. Use an http.Server (node:http), and leave TLS and HTTP/2 to the proxy in front of tsunicorn`,
  );
}

function onlyOther(call: ListenCall): AppLoadError {
  return new AppLoadError(
    `the app listens only with a server of another protocol (node:net), on ${describeCall(call)}, but tsunicorn serves HTTP. Run it with node, or let an http.Server listen before it`,
  );
}

const TAKEN_PORT = (port: number): string =>
  `tsunicorn serves port ${port} with another server of the app. Let the app's http server listen first, or set PORT to its port`;

function refuse(server: Server, port: number, why: Error): void {
  const error = Object.assign(why, { code: 'EADDRINUSE', syscall: 'listen', port });
  process.nextTick(() => server.emit('error', error));
}

function alreadyListens(): Error {
  const message = 'Listen method has been called more than once without closing.';
  return Object.assign(new Error(message), { code: 'ERR_SERVER_ALREADY_LISTEN' });
}

/** Keeps the next 'listening' event from `server`. */
function swallowListening(server: Server): void {
  const { emit } = server;
  server.emit = (event: string | symbol, ...args: unknown[]): boolean => {
    if (event !== 'listening') return Reflect.apply(emit, server, [event, ...args]);
    server.emit = emit;
    return true;
  };
}
