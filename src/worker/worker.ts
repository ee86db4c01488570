/** The inside of a worker whose app has loaded: ready → heartbeat → drain → end. */
import type { Server } from 'node:http';
import { EXIT_CODES } from '../errors.ts';
import { describeError, type ToWorker, type WorkerFailure } from '../messages.ts';
import type { SocketHandle } from '../platform/socket-handle.ts';
import type { Booted, WorkerContext } from './boot.ts';
import { HttpService } from './http/server.ts';
import { AppMetrics, loadedModules } from './report/app-metrics.ts';
import { ProcessMonitor } from './report/process-stats.ts';
import { Reporter } from './report/reporter.ts';
import { AppShutdown, ConnectionDrain } from './shutdown.ts';
import type { AppActions } from './standalone/standalone.ts';

/** The requests in flight at a close() of the app have this long to be answered before the worker is replaced. */
const LONGEST_HAND_OVER_MS = 1_000;
/** All else has ended. */
const LEADER_HINT_MS = 1_000;
const LEADS_ON =
  'a function given to onLeader() goes on although its signal is aborted: this worker ends when it returns, or at TSUNICORN_GRACEFUL_TIMEOUT, and no other worker leads before';

export class Worker implements AppActions {
  readonly #context: WorkerContext;
  readonly #http: HttpService;
  readonly #reporter: Reporter;
  readonly #app: AppShutdown;
  readonly #drained = Promise.withResolvers<void>();
  #drain: ConnectionDrain | undefined;
  /** The app has closed its server, and another may take its place. */
  #closesServer = false;
  #leaderEnds: Promise<void> | undefined;
  #status: number = EXIT_CODES.ok.status;

  constructor(context: WorkerContext, { app, hooks }: Booted) {
    const { plan, events, channel, log, standalone } = context;
    const { settings } = plan;
    const processMonitor = new ProcessMonitor();
    const http = new HttpService(context, app, processMonitor);
    this.#context = context;
    this.#app = new AppShutdown(hooks, app.closing, context);
    this.#http = http;
    this.#reporter = new Reporter(
      {
        counters: http.counters,
        processMonitor,
        appMetrics: settings.appMetrics ? new AppMetrics(loadedModules(), () => performance.now()) : undefined,
        connections: http.connections,
        takeDropped: () => log.destination.takeDropped() + (http.accessLog?.takeDropped() ?? 0),
      },
      channel,
    );
    events.on('exit', () => http.accessLog?.flushSync());
    standalone.capture.servedBy(http.server);
    channel.onMessage = (message, handle) => this.#on(message, handle);
  }

  /** Serves until the drain is over. Resolves with the exit status. `onReady`: it accepts connections. */
  async run(onReady: () => void): Promise<number> {
    const stop = this.#http.start();
    onReady();
    this.#reporter.start(this.#context.plan.settings);
    await this.#drained.promise;
    stop();
    this.#reporter.unref(); // it goes on while the app ends, and does not count as work of the app
    const status = await this.#app.finish();
    await this.#untilLeaderEnds();
    this.#http.connections.dispose();
    await Promise.all([this.#http.accessLog?.close(), this.#context.log.destination.close()]);
    await this.#context.mailbox.flush();
    await this.#reporter.end(); // also of lines that were dropped just now
    return this.#status || status;
  }

  /** The parameters are those of the message. A second call can only make it faster. */
  drain(quick: boolean, leftMs = this.#context.plan.settings.gracefulTimeout * 1000, drainQueues = true): void {
    if (this.#drain) return this.#drain.hasten(quick, leftMs);
    this.#http.watchMemory(undefined);
    const { connections, acceptor } = this.#http;
    const { reload } = this.#context.plan.settings;
    const stoppedAccepting = (): void => this.#context.channel.send({ type: 'stopped-accepting' });
    const options = { connections, acceptor, app: this.#app, reload, drainQueues, stoppedAccepting };
    this.#http.accept(); // if it still waited: the end of the acceptor closes what it has
    this.#drain = new ConnectionDrain(options);
    this.#drain.hasten(quick, leftMs);
    this.#leaderEnds = this.#context.leader.end();
    void this.#drain.run().then(this.#drained.resolve);
  }

  /** After an uncaught exception the state of this process cannot be trusted; its other requests may finish. */
  threw(error: unknown, origin: string): void {
    const { logger } = this.#context.log;
    logger.fatal({ err: error }, `${origin}: this worker finishes its other requests and is replaced`);
    this.#crash(describeError(error));
  }

  exits(status: number, stack: string, after: unknown): 'now' | 'later' {
    if (this.#closesServer) this.#serverClosed(); // close(() => process.exit()): others may be in flight again
    if (this.#drain) return 'later';
    const { logger, destination } = this.#context.log;
    const { inFlight } = this.#http.connections;
    const why = after === undefined ? '' : ' after an uncaught exception';
    const err = after !== undefined && { err: after };
    logger.fatal({ ...err, stack, inFlight }, `the app called process.exit(${status})${why}: this worker ends at once`);
    this.#http.accessLog?.flushSync();
    this.#reporter.heartbeat();
    destination.flushSync();
    return 'now';
  }

  closesServer(handOver: () => Promise<boolean>): void {
    if (this.#drain || this.#closesServer) return; // as it should, or with another of its servers
    this.#closesServer = true;
    void this.#http.connections
      .answered(LONGEST_HAND_OVER_MS)
      .then((answered) => answered && !this.#drain && handOver())
      .then((taken) => {
        this.#closesServer = false;
        if (!taken) this.#serverClosed();
      });
  }

  takesOver(server: Server): void {
    this.#http.moveTo(server);
  }

  #serverClosed(): void {
    if (this.#drain) return;
    this.#context.log.logger.fatal('the app closed its server: this worker finishes its requests and is replaced');
    this.#crash({ reason: 'the app closed its server', stack: undefined });
  }

  terminated(): void {
    this.#replaceMe('received SIGTERM');
  }

  leaves(call: string): void {
    this.#replaceMe(`called ${call}`);
  }

  #replaceMe(why: string): void {
    if (!this.#drain) this.#context.channel.send({ type: 'replace-me', why });
  }

  async #untilLeaderEnds(): Promise<void> {
    const { logger } = this.#context.log;
    const hint = setTimeout(() => logger.warn(LEADS_ON), LEADER_HINT_MS);
    await this.#leaderEnds;
    clearTimeout(hint);
  }

  #crash(failure: Pick<WorkerFailure, 'reason' | 'stack'>): void {
    this.#status = EXIT_CODES.failure.status;
    this.#context.channel.send({ type: 'crashing', ...failure });
    this.drain(true);
  }

  #on(message: ToWorker, handle: SocketHandle | undefined): void {
    const { acceptor, connections, accessLog } = this.#http;
    switch (message.type) {
      case 'close-connections':
        return connections.closeAfterResponse();
      case 'drain':
        return this.drain(message.quick, message.leftMs, message.drainQueue);
      case 'descriptor':
        if (!handle) return;
        if (!message.takeOver) return acceptor.lend(message.key, handle);
        acceptor.takeOver(message.key, handle);
        return this.#context.channel.send({ type: 'took-over', key: message.key });
      case 'accept':
        return this.#drain ? undefined : this.#http.accept();
      case 'hand-back':
        acceptor.handBack(message.key);
        return connections.closeAfterResponseFrom(message.key);
      case 'memory-limit':
        return this.#drain ? undefined : this.#http.watchMemory(message.memory);
      case 'release-hold':
        return this.#http.memory.releaseHold();
      case 'lead':
        return this.#context.leader.lead();
      case 'collect-garbage':
        return this.#http.collectGarbage();
      case 'reload-logs':
        accessLog?.reopen();
        return this.#context.log.destination.reopen();
      case 'report':
        return this.#reporter.answer(message.serial);
      case 'boot':
        return; // came before this listener
      default:
        return message satisfies never;
    }
  }
}
