/** The inside of a worker whose app has loaded: ready → heartbeat → drain → end. */
import type { IncomingMessage } from 'node:http';
import type { RequestContext } from '../context-hook.ts';
import { EXIT_CODES } from '../errors.ts';
import { describeError, type ToWorker, type WorkerFailure, type WorkerPlan } from '../messages.ts';
import type { AccessLog } from '../observe/log/access-log.ts';
import { RequestIds, traceIdOf } from '../observe/log/request-id.ts';
import { scan } from '../observe/log/seen-headers.ts';
import type { ServerLog } from '../observe/log/server-log.ts';
import type { Native } from '../platform/native/native.ts';
import type { SocketHandle } from '../platform/socket-handle.ts';
import { MemoryBrake } from './admission/memory-brake.ts';
import { Overload } from './admission/overload.ts';
import { enforceRequestTimeout } from './admission/request-timeout.ts';
import { Ending } from './app-shutdown.ts';
import type { Booted } from './boot.ts';
import type { Channel } from './channel.ts';
import { Acceptor } from './http/accept.ts';
import { CLIENT_CLOSED_REQUEST, Connections } from './http/connections.ts';
import type { RequestContexts } from './http/request-context.ts';
import { createServer } from './http/server.ts';
import { serverEvents } from './http/server-events.ts';
import { openAccessLog } from './open-access-log.ts';
import { AppMetrics, loadedModules } from './report/app-metrics.ts';
import { Counters } from './report/counters.ts';
import { Vitals } from './report/process-stats.ts';
import { Reporter } from './report/reporter.ts';
import { Drain } from './shutdown.ts';
import type { AppActions, Standalone } from './standalone/standalone.ts';

/** What is laid around the app before it is loaded. */
export interface Surroundings {
  readonly unmodified: Standalone;
  readonly contexts: RequestContexts;
  readonly native: Native | undefined;
}

export class Worker implements AppActions {
  readonly #plan: WorkerPlan;
  readonly #name: string;
  readonly #channel: Channel;
  readonly #log: ServerLog;
  readonly #ids = new RequestIds();
  readonly #tally = new Counters();
  readonly #accessLog: AccessLog | undefined;
  readonly #connections: Connections;
  readonly #acceptor: Acceptor;
  readonly #overload: Overload | undefined;
  readonly #memory: MemoryBrake;
  readonly #vitals = new Vitals();
  readonly #reporter: Reporter;
  readonly #ending: Ending;
  readonly #drained = Promise.withResolvers<void>();
  #drain: Drain | undefined;
  #status: number = EXIT_CODES.ok.status;

  constructor(plan: WorkerPlan, { app, hooks }: Booted, channel: Channel, log: ServerLog, around: Surroundings) {
    const { settings } = plan;
    const { unmodified, contexts, native } = around;
    this.#plan = plan;
    this.#name = app.name;
    this.#ending = new Ending(hooks, unmodified, channel, log);
    this.#channel = channel;
    this.#log = log;
    this.#overload = settings.maxEventLoopLag > 0 ? new Overload(settings.maxEventLoopLag * 1000) : undefined;
    this.#accessLog = openAccessLog(plan, this.#ids, log);
    process.once('exit', () => this.#accessLog?.flushSync());
    const contextOf = (request: IncomingMessage): RequestContext => this.#contextOf(request);
    const events = serverEvents({
      name: app.name,
      tally: this.#tally,
      accessLog: this.#accessLog,
      log,
      contextOf,
      upgraded: (socket) => this.#connections.markUpgraded(socket),
    });
    this.#memory = new MemoryBrake({
      heapLimitBytes: plan.heapLimitBytes,
      native,
      connections: () => this.#connections.size,
      hold: (on) => this.#acceptor.pause(on),
      full: (heap) => channel.send({ type: 'memory-full', rssBytes: this.#vitals.rssBytes, heap }),
    });
    const server = createServer(app, settings, events, {
      overload: this.#overload,
      brake: this.#memory.brake,
      around: (handle) => contexts.around(handle, contextOf),
    });
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
      spares: isSync || settings.workerConnections > 0 || plan.memory !== undefined,
      onConnection: (socket) => this.#connections.add(socket),
      wantDescriptor: (key) => channel.send({ type: 'need-descriptor', key }),
    });
    this.#reporter = new Reporter(
      {
        tally: this.#tally,
        vitals: this.#vitals,
        appMetrics: settings.appMetrics ? new AppMetrics(loadedModules(), () => performance.now()) : undefined,
        connections: this.#connections,
        takeDropped: () => log.destination.takeDropped() + (this.#accessLog?.takeDropped() ?? 0),
      },
      channel,
      { timeout: settings.timeout, silentWhileBusy: isSync },
    );
    unmodified.capture.servedBy(server);
    channel.listen((message, handle) => this.#on(message, handle));
  }

  /** Serves until the drain is over. */
  async run(): Promise<number> {
    const { settings, listeners, memory } = this.#plan;
    this.#acceptor.start(listeners);
    this.#channel.send({ type: 'ready', app: this.#name, heapSizeLimitBytes: heapLimit() });
    this.#reporter.start();
    const unlimit =
      settings.requestTimeout > 0
        ? enforceRequestTimeout(this.#connections, settings.requestTimeout * 1000, () =>
            this.#tally.rejected('timeout'),
          )
        : undefined;
    const unwatch = this.#overload?.start();
    this.#memory.watch(memory);
    await this.#drained.promise;
    unwatch?.();
    unlimit?.();
    this.#reporter.unref(); // it goes on while the app ends, and does not count as work of the app
    const status = await this.#ending.finish();
    this.#connections.dispose();
    await Promise.all([this.#accessLog?.close(), this.#log.destination.close()]);
    await this.#reporter.end(); // also of lines that were lost just now
    return this.#status || status;
  }

  /**
   * Stops accepting, finishes what is in hand. `quick`: idle connections are closed without waiting a moment. `leftMs`:
   * until the worker is killed, in a drain of its own the graceful timeout. A second call can only make it faster.
   * `sweep`: nobody else accepts what waits.
   */
  drain(quick: boolean, leftMs = this.#plan.settings.gracefulTimeout * 1000, sweep = true): void {
    const haste = { quick, leftMs };
    if (this.#drain) return this.#drain.hasten(haste);
    this.#memory.watch(undefined);
    this.#drain = new Drain(
      {
        connections: this.#connections,
        acceptor: this.#acceptor,
        ending: this.#ending,
        reload: this.#plan.settings.reload,
        sweep,
      },
      haste,
    );
    void this.#drain.run().then(this.#drained.resolve);
  }

  /** An exception that nobody caught: the state of this process cannot be trusted, the other requests may end. */
  threw(error: unknown, origin: string): void {
    this.#log.logger.fatal({ err: error }, `${origin}: this worker finishes its other requests and is replaced`);
    this.#break(describeError(error));
  }

  exits(status: number, stack: string): 'now' | 'later' {
    if (this.#drain) return 'later';
    const { inFlight } = this.#connections;
    this.#log.logger.fatal({ stack, inFlight }, `the app called process.exit(${status}): this worker ends at once`);
    this.#accessLog?.flushSync();
    this.#reporter.beat();
    this.#log.destination.flushSync();
    return 'now';
  }

  closesServer(): void {
    if (this.#drain) return; // so it is meant to
    this.#log.logger.fatal('the app closed its server: this worker finishes its requests and is replaced');
    this.#break({ reason: 'the app closed its server', stack: undefined });
  }

  terminated(): void {
    this.#channel.send({ type: 'replace-me' });
  }

  #break(failure: Pick<WorkerFailure, 'reason' | 'stack'>): void {
    this.#status = EXIT_CODES.failure.status;
    this.#channel.send({ type: 'crashing', ...failure });
    this.drain(true);
  }

  #on(message: ToWorker, handle: SocketHandle | undefined): void {
    switch (message.type) {
      case 'close-connections':
        return this.#connections.closeAfterResponse();
      case 'drain':
        return this.drain(message.quick, message.leftMs, message.sweep);
      case 'descriptor':
        if (!handle) return;
        if (!message.takeOver) return this.#acceptor.lend(message.key, handle);
        this.#acceptor.cover(message.key, handle);
        return this.#channel.send({ type: 'took-over', key: message.key });
      case 'hand-back':
        return this.#acceptor.stop(message.key);
      case 'memory-limit':
        return this.#drain ? undefined : this.#memory.watch(message.memory);
      case 'release-hold':
        return this.#memory.brake.giveUp();
      case 'collect-garbage':
        return this.#memory.clearUp();
      case 'reload-logs':
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

  #contextOf(request: IncomingMessage): RequestContext {
    const seen = scan(request.rawHeaders);
    const trace = traceIdOf(seen);
    const id = this.#ids.of(this.#connections.serialOf(request), seen);
    return { request_id: id, ...(trace !== '' && { trace_id: trace }) };
  }
}

/** V8's limit for the whole heap of this process, in bytes. */
export function heapLimit(): number {
  return process.getBuiltinModule('node:v8').getHeapStatistics().heap_size_limit;
}
