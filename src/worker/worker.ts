/** The inside of a worker whose app has loaded: ready → heartbeat → drain → end. */
import { EXIT_CODES } from '../errors.ts';
import { describeError, type ToWorker, type WorkerFailure, type WorkerPlan } from '../messages.ts';
import type { ServerLog } from '../observe/log/server-log.ts';
import type { SocketHandle } from '../platform/socket-handle.ts';
import type { Booted } from './boot.ts';
import type { Channel } from './channel.ts';
import { HttpService, type HttpServiceOptions } from './http/server.ts';
import { AppMetrics, loadedModules } from './report/app-metrics.ts';
import { ProcessMonitor } from './report/process-stats.ts';
import { Reporter } from './report/reporter.ts';
import { AppShutdown, Drain } from './shutdown.ts';
import type { AppActions, Standalone } from './standalone/standalone.ts';

/** What is laid around the app before it loads. */
export interface Surroundings extends Pick<HttpServiceOptions, 'contexts' | 'native'> {
  readonly standalone: Standalone;
}

export class Worker implements AppActions {
  readonly #plan: WorkerPlan;
  readonly #appName: string;
  readonly #channel: Channel;
  readonly #log: ServerLog;
  readonly #http: HttpService;
  readonly #reporter: Reporter;
  readonly #app: AppShutdown;
  readonly #drained = Promise.withResolvers<void>();
  #drain: Drain | undefined;
  #status: number = EXIT_CODES.ok.status;

  constructor(plan: WorkerPlan, { app, hooks }: Booted, channel: Channel, log: ServerLog, around: Surroundings) {
    const { settings } = plan;
    const { standalone } = around;
    const stats = new ProcessMonitor();
    this.#plan = plan;
    this.#appName = app.name;
    this.#channel = channel;
    this.#log = log;
    this.#app = new AppShutdown(hooks, standalone, channel, log);
    const http = new HttpService(plan, app, {
      ...around,
      log,
      needDescriptor: (key) => channel.send({ type: 'need-descriptor', key }),
      memoryFull: (heap) => channel.send({ type: 'memory-full', rssBytes: stats.rssBytes, heap }),
    });
    this.#http = http;
    this.#reporter = new Reporter(
      {
        counters: http.counters,
        processMonitor: stats,
        appMetrics: settings.appMetrics ? new AppMetrics(loadedModules(), () => performance.now()) : undefined,
        connections: http.connections,
        takeDropped: () => log.destination.takeDropped() + (http.accessLog?.takeDropped() ?? 0),
      },
      channel,
    );
    process.once('exit', () => http.accessLog?.flushSync());
    standalone.capture.servedBy(http.server);
    channel.listen((message, handle) => this.#on(message, handle));
  }

  /** Serves until the drain is over. Resolves with the exit status. */
  async run(): Promise<number> {
    const stop = this.#http.start();
    this.#channel.send({ type: 'ready', app: this.#appName, heapSizeLimitBytes: heapLimit() });
    this.#reporter.start(this.#plan.settings);
    await this.#drained.promise;
    stop();
    this.#reporter.unref(); // it goes on while the app ends, and does not count as work of the app
    const status = await this.#app.finish();
    this.#http.connections.dispose();
    await Promise.all([this.#http.accessLog?.close(), this.#log.destination.close()]);
    await this.#reporter.end(); // also of lines that were dropped just now
    return this.#status || status;
  }

  /**
   * Stops accepting and finishes the requests in flight. `quick`: closes idle connections without waiting. `leftMs`:
   * until the worker is killed; the graceful timeout where the worker drains by itself. `drainQueues`: no other worker
   * serves what waits in the accept queues. A second call can only make it faster.
   */
  drain(quick: boolean, leftMs = this.#plan.settings.gracefulTimeout * 1000, drainQueues = true): void {
    const pace = { quick, leftMs };
    if (this.#drain) return this.#drain.hasten(pace);
    this.#http.watchMemory(undefined);
    const { connections, acceptor } = this.#http;
    const { reload } = this.#plan.settings;
    this.#drain = new Drain({ connections, acceptor, app: this.#app, reload, drainQueues }, pace);
    void this.#drain.run().then(this.#drained.resolve);
  }

  /** After an uncaught exception the state of this process cannot be trusted; its other requests may finish. */
  threw(error: unknown, origin: string): void {
    this.#log.logger.fatal({ err: error }, `${origin}: this worker finishes its other requests and is replaced`);
    this.#crash(describeError(error));
  }

  exits(status: number, stack: string): 'now' | 'later' {
    if (this.#drain) return 'later';
    const { connections, accessLog } = this.#http;
    const { inFlight } = connections;
    this.#log.logger.fatal({ stack, inFlight }, `the app called process.exit(${status}): this worker ends at once`);
    accessLog?.flushSync();
    this.#reporter.heartbeat();
    this.#log.destination.flushSync();
    return 'now';
  }

  closesServer(): void {
    if (this.#drain) return; // as it should
    this.#log.logger.fatal('the app closed its server: this worker finishes its requests and is replaced');
    this.#crash({ reason: 'the app closed its server', stack: undefined });
  }

  terminated(): void {
    this.#channel.send({ type: 'replace-me' });
  }

  #crash(failure: Pick<WorkerFailure, 'reason' | 'stack'>): void {
    this.#status = EXIT_CODES.failure.status;
    this.#channel.send({ type: 'crashing', ...failure });
    this.drain(true);
  }

  #on(message: ToWorker, handle: SocketHandle | undefined): void {
    const { acceptor, connections, accessLog } = this.#http;
    switch (message.type) {
      case 'close-connections':
        return connections.closeAfterResponse();
      case 'drain':
        return this.drain(message.quick, message.leftMs, message.sweep);
      case 'descriptor':
        if (!handle) return;
        if (!message.takeOver) return acceptor.lend(message.key, handle);
        acceptor.takeOver(message.key, handle);
        return this.#channel.send({ type: 'took-over', key: message.key });
      case 'hand-back':
        return acceptor.handBack(message.key);
      case 'memory-limit':
        return this.#drain ? undefined : this.#http.watchMemory(message.memory);
      case 'release-hold':
        return this.#http.memory.releaseHold();
      case 'collect-garbage':
        return this.#http.collectGarbage();
      case 'reload-logs':
        accessLog?.reopen();
        return this.#log.destination.reopen();
      case 'report':
        return this.#reporter.answer(message.serial);
      case 'boot':
        return; // came before this listener
      default:
        return message satisfies never;
    }
  }
}

/** V8's limit for the whole heap of this process, in bytes. */
export function heapLimit(): number {
  return process.getBuiltinModule('node:v8').getHeapStatistics().heap_size_limit;
}
