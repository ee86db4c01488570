/**
 * Programs that call `listen()` themselves. Before the app is imported `net.Server.prototype.listen` is replaced: the
 * http.Server that the program means for its clients listens in name only and becomes the app, and every further server
 * listens for real, with SO_REUSEPORT so that all workers can.
 */
import type { Server as HttpServer } from 'node:http';
import net, { type Server } from 'node:net';
import { AppLoadError } from '../../errors.ts';
import { CHECK_INTERVAL_MS } from '../http/server.ts';
import { CapturedServer } from './captured-server.ts';
import { furtherServer, listenAgain, type OriginalListen } from './extra-servers.ts';
import { describeCall, type ListenCall, NO_CALL, parseListenCall } from './listen-call.ts';
import { isHttp, kindOf, serves } from './server-kinds.ts';

export interface CaptureOptions {
  /** TCP ports that tsunicorn serves. */
  readonly ports: readonly number[];
  /** The PORT of the environment, which tells the app's server among several. */
  readonly port: string | undefined;
  /** `tsunicorn check`: nothing is opened. */
  readonly bindNothing: boolean;
  /** The app, while it is served, has closed its server. */
  readonly onClose: () => void;
  readonly warn: (message: string) => void;
}

/** A program's own server, and how it asked to listen, for people. */
export interface OwnServer {
  readonly server: HttpServer;
  readonly asked: string;
}

export class Capture {
  readonly #options: CaptureOptions;
  readonly #listen: OriginalListen;
  /** Listening in name only, in the order of their calls. */
  readonly #pretences: CapturedServer[] = [];
  #changed = Promise.withResolvers<void>();
  /** Which server is the app's is settled: what comes now is a further server. */
  #serving = false;
  #exported: unknown;
  #app: CapturedServer | undefined;
  #served: HttpServer | undefined;

  constructor(options: CaptureOptions) {
    this.#options = options;
    const { listen } = net.Server.prototype;
    this.#listen = (server, args) => Reflect.apply(listen, server, args);
    const capture = this;
    net.Server.prototype.listen = function (this: Server, ...args: unknown[]): Server {
      return capture.#on(this, args);
    } as typeof listen;
  }

  /** Waits until a server that can be the app's listens. Throws AppLoadError where the program has none but others. */
  async listening(): Promise<void> {
    while (this.#candidates().length === 0) {
      const secure = this.#pretences.find(({ server }) => kindOf(server) === 'https' || kindOf(server) === 'http2');
      if (secure) throw notPlain(secure);
      await this.#changed.promise;
    }
  }

  /**
   * The server to serve, for a module that exports `exported`; undefined where that is the app. `isNamed`: the user
   * asked for it by name, so that another server has to be on PORT to come before it.
   */
  choose(exported: unknown, isNamed: boolean): OwnServer | undefined {
    const candidates = this.#candidates();
    const exportsAnother = (isNamed && exported !== undefined) || (isHttp(exported) && !exported.listening);
    this.#exported = exported;
    this.#app =
      candidates.find(({ server }) => serves(server, exported)) ??
      candidates.find(({ call }) => this.#isOnPort(call)) ??
      (exportsAnother ? undefined : (candidates.find(({ call }) => call.port !== 0) ?? candidates[0]));
    return this.#app && { server: this.#app.server as HttpServer, asked: describeCall(this.#app.call) };
  }

  /** The app is settled: `server`, or a handler that is no server. The other servers of the program listen for real. */
  settled(server: HttpServer | undefined): void {
    this.#serving = true;
    if (server && !server.listening) this.#app = this.#pretend(server, NO_CALL);
    this.#served = server;
    for (const pretence of this.#pretences.filter((p) => p !== this.#app && p.listening)) {
      if (this.#isSame(pretence.call) || this.#options.bindNothing) continue;
      this.#pretences.splice(this.#pretences.indexOf(pretence), 1);
      pretence.end();
      listenAgain(pretence.server, () => this.#further(pretence.server, pretence.call, [pretence.call.options]));
    }
  }

  /** What the worker serves with, where the app is no server itself. */
  servedBy(server: HttpServer): void {
    this.#served = server;
  }

  /** The drain begins: it decides when an idle connection may be closed, since a request may be on its way. */
  keepIdleConnections(): void {
    for (const pretence of this.#pretences) pretence.keepIdleConnections();
  }

  /** The drain is over: what waits for the server to close may go on. */
  end(): void {
    for (const pretence of this.#pretences.splice(0)) pretence.end();
  }

  #candidates(): CapturedServer[] {
    return this.#pretences.filter((p) => p.listening && kindOf(p.server) === 'http');
  }

  #on(server: Server, args: unknown[]): Server {
    const call = parseListenCall(args);
    const pretence = this.#pretences.find((p) => p.server === server && p.listening);
    if (call === undefined || (server.listening && !pretence)) return this.#listen(server, args);
    if (pretence && pretence.call !== NO_CALL) throw alreadyListens();
    const kind = kindOf(server);
    const isApp = this.#serving ? kind === 'http' && this.#isApp(server, call) : kind !== 'other';
    if (!isApp && !this.#options.bindNothing) return this.#further(server, call, args);
    const replaced = this.#pretend(server, call);
    if (server === this.#app?.server) this.#app = replaced;
    if (this.#serving && this.#served && this.#served !== server) forwardUpgrades(this.#served, server);
    return server;
  }

  #pretend(server: Server, call: ListenCall): CapturedServer {
    const before = this.#pretences.findIndex((p) => p.server === server);
    if (before >= 0) this.#pretences.splice(before, 1)[0]?.end();
    if (isHttp(server)) Object.assign(server, { connectionsCheckingInterval: CHECK_INTERVAL_MS });
    const pretence = new CapturedServer(server, call, this.#options.ports[0] ?? 0, (p) => this.#closed(p));
    this.#pretences.push(pretence);
    // Not at once: servers that begin to listen in the same turn are chosen among together.
    setImmediate(() => {
      this.#changed.resolve();
      this.#changed = Promise.withResolvers();
    });
    return pretence;
  }

  #further(server: Server, call: ListenCall, args: unknown[]): Server {
    return furtherServer(server, call, args, { ...this.#options, listen: this.#listen });
  }

  #closed(pretence: CapturedServer): void {
    if (this.#serving) this.#options.onClose();
    else pretence.end();
  }

  #isOnPort({ port, path }: ListenCall): boolean {
    return (path ?? (port || undefined)?.toString()) === this.#options.port && this.#options.port !== undefined;
  }

  /** On the port of the app's server: the same for another address, as Fastify does for localhost. */
  #isSame({ port }: ListenCall): boolean {
    return port !== undefined && port !== 0 && port === this.#app?.call.port;
  }

  /** Whether a server that begins to listen while the app is served is the app once more. */
  #isApp(server: Server, call: ListenCall): boolean {
    if (server === this.#served || serves(server, this.#exported) || this.#isSame(call)) return true;
    return this.#isOnPort(call) && (this.#app?.call.port ?? 0) === 0;
  }
}

/** A server of the app that appeared late, where the app is served already: the WebSockets are its own. */
function forwardUpgrades(from: HttpServer, to: Server): void {
  const forward = (): void => {
    from.on('upgrade', (...args) => to.emit('upgrade', ...args));
  };
  if (to.listenerCount('upgrade') > 0) return forward();
  to.on('newListener', function first(event) {
    if (event !== 'upgrade') return;
    to.off('newListener', first);
    forward();
  });
}

function notPlain({ server, call }: CapturedServer): AppLoadError {
  const what = kindOf(server) === 'https' ? 'an https server, with a certificate of its own,' : 'an HTTP/2 server';
  return new AppLoadError(
    `the app listens with ${what} on ${describeCall(call)}, and with no other. Workers speak plain HTTP/1.1: use an http.Server (node:http), and leave TLS and HTTP/2 to the proxy in front of tsunicorn`,
  );
}

function alreadyListens(): Error {
  const message = 'Listen method has been called more than once without closing.';
  return Object.assign(new Error(message), { code: 'ERR_SERVER_ALREADY_LISTEN' });
}
