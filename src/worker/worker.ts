/** The inside of a worker: boot → ready → heartbeat → drain → end. */
import { AppLoadError, EXIT_CODES } from '../errors.ts';
import { STACK_FD, type ToWorker, type WorkerPlan } from '../messages.ts';
import { AccessLog } from '../observe/access-log.ts';
import { openDestination } from '../observe/destination.ts';
import { openServerLog, type ServerLog } from '../observe/log.ts';
import { RequestIds } from '../observe/request-id.ts';
import { scan } from '../observe/seen-headers.ts';
import { loadNative } from '../platform/native.ts';
import { SIGNALS } from '../platform/signals.ts';
import type { SocketHandle } from '../platform/socket-handle.ts';
import { Acceptor } from './accept.ts';
import type { App } from './app/app.ts';
import { loadApp } from './app/load.ts';
import { AppMetrics, loadedModules } from './app-metrics.ts';
import { Channel } from './channel.ts';
import { CLIENT_CLOSED_REQUEST, Connections } from './connections.ts';
import { forwardedClient } from './forwarded.ts';
import { Overload } from './overload.ts';
import { answerInstead } from './refuse.ts';
import { Reporter } from './reporter.ts';
import { createServer, type ServerEvents } from './server.ts';
import { Tally } from './tally.ts';
import { Vitals } from './vitals.ts';

/**
 * A keep-alive connection is not closed before it has been idle this long: its client may have sent the next request
 * already. nginx has `keepalive_min_timeout` for the same race.
 */
const IDLE_QUIET_MS = 1_000;
const DRAIN_CHECK_MS = 50;
/** When the arbiter has vanished: what a drain may take beyond the graceful timeout before the kernel ends it. */
const ORPHAN_MARGIN_S = 5;

/** Runs one worker until it has drained. Resolves with its exit status. */
export async function runWorker(process: NodeJS.Process): Promise<number> {
  let orphaned = (): void => {};
  const arbiter = process.ppid; // before the plan, which only a live arbiter sends: it cannot be its successor's
  const channel = new Channel(process, () => orphaned());
  const { native } = loadNative();
  const plan = await channel.plan(native !== undefined && native.reportStacks(STACK_FD) === undefined);
  const { settings, slot, age } = plan;
  native?.dieWithParent(arbiter, Math.ceil(settings.gracefulTimeout) + ORPHAN_MARGIN_S);
  const log = openServerLog(settings, { pid: process.pid, worker: slot, age });
  for (const signal of SIGNALS) {
    // A terminal, or a supervisor, sends them to the whole group: the arbiter decides what they do.
    if (signal !== 'SIGTERM') process.on(signal, () => {});
  }

  const app = await boot(plan, channel, log);
  if (typeof app === 'number') return app;
  if (!process.connected) return EXIT_CODES.failure.status; // the arbiter went while the app was loading
  if (plan.checkOnly) {
    await channel.sendLast({ type: 'ready', app: app.name, heapLimitBytes: heapLimit() });
    return EXIT_CODES.ok.status;
  }
  const worker = new Worker(plan, app, channel, log);
  orphaned = () => worker.drain(false);
  process.on('SIGTERM', () => channel.send({ type: 'asks to leave' }));
  process.on('uncaughtException', (error, origin) => worker.uncaught(error, origin));
  return await worker.run();
}

/** The app, or the status to end with where there is none to serve. */
async function boot({ settings }: WorkerPlan, channel: Channel, log: ServerLog): Promise<App | number> {
  try {
    return await loadApp(settings.app, settings.chdir, {
      forwardedAllowIps: settings.forwardedAllowIps,
      waitingFor: (what) => channel.send({ type: 'waiting', for: what }),
    });
  } catch (error) {
    const fatal = error instanceof AppLoadError;
    const reason = error instanceof Error ? error.message : String(error);
    log.logger.error({ err: fatal && error.cause ? error.cause : error }, `the app failed to load: ${reason}`);
    await log.destination.close();
    const { stack } = (fatal && error.cause instanceof Error ? error.cause : error) as { stack?: string };
    await channel.sendLast({ type: 'boot failed', reason, stack, fatal });
    return fatal ? EXIT_CODES.app.status : EXIT_CODES.boot.status;
  }
}

class Worker {
  readonly #plan: WorkerPlan;
  readonly #app: App;
  readonly #channel: Channel;
  readonly #log: ServerLog;
  readonly #ids = new RequestIds();
  readonly #tally = new Tally();
  readonly #accessLog: AccessLog | undefined;
  readonly #connections: Connections;
  readonly #acceptor: Acceptor;
  readonly #overload: Overload | undefined;
  readonly #reporter: Reporter;
  readonly #drained = Promise.withResolvers<void>();
  #draining = false;
  #toldOfUpgrade = false;
  #status: number = EXIT_CODES.ok.status;

  constructor(plan: WorkerPlan, app: App, channel: Channel, log: ServerLog) {
    const { settings, slot } = plan;
    this.#plan = plan;
    this.#app = app;
    this.#channel = channel;
    this.#log = log;
    if (settings.accessLog !== 'off') {
      const clientOf = forwardedClient(settings.forwardedAllowIps);
      this.#accessLog = new AccessLog(openDestination(settings.accessLog, 1), slot, clientOf, this.#ids);
    }
    this.#overload = settings.maxEventLoopLag > 0 ? new Overload(settings.maxEventLoopLag * 1000) : undefined;
    const events: ServerEvents = {
      refused: (why) => this.#tally.rejected(why),
      upgraded: (socket) => this.#connections.markUpgraded(socket),
      handshakeRefused: () => {
        this.#tally.rejected('no_websocket');
        if (this.#toldOfUpgrade) return;
        this.#toldOfUpgrade = true;
        log.logger.warn(NO_UPGRADE(app.name));
      },
      handlerFailed: (err, request) => {
        const { method, url } = request;
        const id = this.#ids.of(this.#connections.serialOf(request), scan(request.rawHeaders));
        log.logger.error({ err, request_id: id, method, url }, 'the request handler failed');
      },
      malformed: (socket, status, code) => {
        const remote = socket.remoteAddress ?? '';
        this.#tally.rejected(status === 408 ? 'timeout' : 'malformed');
        this.#accessLog?.malformed(remote, status, code);
        log.logger.info({ remote, status, code }, 'refused a malformed or slow request');
      },
    };
    const server = createServer(app, settings, events, this.#overload);
    const isSync = settings.workerClass === 'sync';
    this.#connections = new Connections(server, !isSync && settings.keepalive > 0, {
      count: (open) => this.#acceptor.balance(open),
      finished: (exchange, now, aborted) => {
        const sent = !aborted || exchange.response.headersSent;
        const status = sent ? exchange.response.statusCode : CLIENT_CLOSED_REQUEST;
        this.#tally.request(exchange.method, status, now - exchange.startedAt);
        this.#accessLog?.request(exchange, status, now);
      },
    });
    this.#acceptor = new Acceptor({
      backlog: settings.backlog,
      cap: isSync ? 1 : settings.workerConnections,
      onConnection: (socket) => this.#connections.add(socket),
      wantDescriptor: (key) => channel.send({ type: 'want descriptor', key }),
    });
    this.#reporter = new Reporter(
      {
        tally: this.#tally,
        vitals: new Vitals(),
        appMetrics: settings.appMetrics ? new AppMetrics(loadedModules(), () => performance.now()) : undefined,
        connections: this.#connections,
        takeDropped: () => log.destination.takeDropped() + (this.#accessLog?.takeDropped() ?? 0),
      },
      channel,
      { timeout: settings.timeout, silentWhileBusy: isSync },
    );
    channel.listen((message, handle) => this.#on(message, handle));
  }

  /** Serves until the drain is over. */
  async run(): Promise<number> {
    const { settings, listeners } = this.#plan;
    this.#acceptor.start(listeners);
    this.#channel.send({ type: 'ready', app: this.#app.name, heapLimitBytes: heapLimit() });
    this.#reporter.start();
    const sweep = settings.requestTimeout > 0 ? this.#enforceRequestTimeout(settings.requestTimeout * 1000) : undefined;
    const unwatch = this.#overload?.start();
    await this.#drained.promise;
    unwatch?.();
    clearInterval(sweep);
    this.#connections.dispose();
    await this.#accessLog?.close();
    await this.#reporter.end();
    await this.#log.destination.close();
    return this.#status;
  }

  /** Stops accepting, finishes what is in hand. `quick`: idle connections are closed without waiting a moment. */
  drain(quick: boolean): void {
    if (this.#draining) return;
    this.#draining = true;
    void this.#finish(quick ? 0 : IDLE_QUIET_MS);
  }

  /** An exception that nobody caught: the state of this process cannot be trusted, the other requests may end. */
  uncaught(error: Error, origin: string): void {
    const { logger } = this.#log;
    if (process.listenerCount('uncaughtException') > 1) return; // the app deals with it itself
    logger.fatal({ err: error }, `${origin}: this worker finishes its other requests and is replaced`);
    this.#status = EXIT_CODES.failure.status;
    const { message: reason, stack } = error instanceof Error ? error : { message: String(error), stack: undefined };
    this.#channel.send({ type: 'broken', reason, stack });
    this.drain(true);
  }

  async #finish(quietMs: number): Promise<void> {
    this.#connections.closeAfterResponse();
    await this.#acceptor.end();
    const timer = setInterval(check.bind(undefined, this), DRAIN_CHECK_MS);
    check(this);
    function check(worker: Worker): void {
      worker.#connections.closeIdle(quietMs, performance.now());
      if (worker.#connections.size > 0 || worker.#acceptor.held > 0) return;
      clearInterval(timer);
      worker.#drained.resolve();
    }
  }

  #on(message: ToWorker, handle: SocketHandle | undefined): void {
    switch (message.type) {
      case 'closing':
        return this.#connections.closeAfterResponse();
      case 'drain':
        return this.drain(message.quick);
      case 'descriptor':
        if (handle) this.#acceptor.lend(message.key, handle, message.cover);
        return;
      case 'uncover':
        return this.#acceptor.stop(message.key);
      case 'reopen logs':
        this.#accessLog?.reopen();
        return this.#log.destination.reopen();
      case 'report':
        return this.#reporter.answer(message.serial);
      case 'boot':
        return; // came before this listener
      default:
        return message satisfies never;
    }
  }

  #enforceRequestTimeout(limitMs: number): NodeJS.Timeout {
    return setInterval(
      () => {
        const now = performance.now();
        for (const { exchanges } of this.#connections) {
          for (const { response, startedAt } of exchanges) {
            if (response.headersSent || now - startedAt < limitMs) continue;
            this.#tally.rejected('timeout');
            answerInstead(response, 503);
          }
        }
      },
      Math.min(1_000, limitMs / 4),
    );
  }
}

function heapLimit(): number {
  return process.getBuiltinModule('node:v8').getHeapStatistics().heap_size_limit;
}

const NO_UPGRADE = (app: string): string =>
  `a WebSocket handshake was answered with 426, or 400 where it was malformed: ${app} has no upgrade listener. Export the http.Server that the listener is on, and not the handler (this is said once a worker)`;
