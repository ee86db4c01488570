/**
 * How a worker stops: what it has accepted is answered, then the app ends (docs/design.md, "Drain"). {@link Drain} is
 * the part of the connections, {@link AppShutdown} that of the app.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ServerLog } from '../observe/log/server-log.ts';
import type { Hooks } from './app/exports.ts';
import type { Channel } from './channel.ts';
import type { Acceptor } from './http/accept.ts';
import type { Connections } from './http/connections.ts';
import type { Standalone } from './standalone/standalone.ts';

/**
 * A keep-alive connection is not closed before it has been idle this long: its client may have sent the next request
 * already. nginx has `keepalive_min_timeout` for the same race.
 */
const IDLE_QUIET_MS = 1_000;
/** The same in development, where the next worker waits for this one to end and clients are near. */
const RELOAD_QUIET_MS = 100;
const CHECK_MS = 50;

/** Share of the time left after which the app's signal handlers run although requests are in flight. */
const HANDLERS_AT = 0.5;
/**
 * Streams end this long before the kill, or a fifth of a shorter time: half of it is for their clients to close, half
 * for the app and the logs. One second is more than any round trip.
 */
const END_MARGIN_MS = 2_000;
const END_MARGIN = 0.2;
/**
 * Programs end by process.exit(), or because nothing is left to do. One that does neither after its signal handlers
 * would not end by itself either.
 */
const LINGER_MS = 1_000;

export interface DrainOptions {
  readonly connections: Connections;
  readonly acceptor: Acceptor;
  readonly app: Pick<AppShutdown, 'begin' | 'runHandlers'>;
  /** Development: `TSUNICORN_RELOAD`. */
  readonly reload: boolean;
  /** No other worker serves what waits in the accept queues. */
  readonly drainQueues: boolean;
}

export interface DrainPace {
  /** Close idle connections, and tell the app, without waiting. */
  readonly quick: boolean;
  /** Milliseconds from now until the worker is killed. */
  readonly leftMs: number;
}

export class Drain {
  readonly #options: DrainOptions;
  #quietMs = Number.POSITIVE_INFINITY;
  /** Times of performance.now(). */
  #handlersAt = Number.POSITIVE_INFINITY;
  #endStreamsAt = Number.POSITIVE_INFINITY;
  #closeEndedAt = Number.POSITIVE_INFINITY;

  constructor(options: DrainOptions, pace: DrainPace) {
    this.#options = options;
    this.hasten(pace);
  }

  /** Only ever makes the drain faster. */
  hasten({ quick, leftMs }: DrainPace): void {
    const now = performance.now();
    const margin = Math.min(END_MARGIN_MS, leftMs * END_MARGIN);
    const quietMs = this.#options.reload ? RELOAD_QUIET_MS : IDLE_QUIET_MS;
    this.#quietMs = Math.min(this.#quietMs, quick ? 0 : quietMs);
    this.#handlersAt = Math.min(this.#handlersAt, quick ? now : now + leftMs * HANDLERS_AT);
    this.#endStreamsAt = Math.min(this.#endStreamsAt, now + leftMs - margin);
    this.#closeEndedAt = Math.min(this.#closeEndedAt, now + leftMs - margin / 2);
  }

  /** Resolves when no connection is left. */
  async run(): Promise<void> {
    const { connections, acceptor, app, drainQueues } = this.#options;
    connections.closeAfterResponse();
    app.begin();
    await acceptor.end(drainQueues);
    const { promise, resolve } = Promise.withResolvers<void>();
    const check = (): void => {
      this.#advance(performance.now());
      if (connections.size === 0 && acceptor.held === 0) resolve();
    };
    // In the check phase the loop has read what there was to read: see Connections.closeIdle().
    const timer = setInterval(() => setImmediate(check), CHECK_MS);
    check();
    await promise;
    clearInterval(timer);
  }

  #advance(now: number): void {
    const { connections, acceptor, app } = this.#options;
    connections.closeIdle(this.#quietMs, now);
    const hasRequests = acceptor.held > 0 || [...connections].some(({ upgraded }) => !upgraded);
    if (!hasRequests || now >= this.#handlersAt) app.runHandlers();
    if (now >= this.#endStreamsAt) connections.endStreams();
    if (now >= this.#closeEndedAt) connections.closeEnded();
  }
}

/** `onShutdown` as the drain begins; the app's signal handlers once no request needs it; then it may end. */
export class AppShutdown {
  readonly #hooks: Hooks;
  readonly #standalone: Standalone;
  readonly #channel: Channel;
  readonly #log: ServerLog;
  #hook: Promise<void> | undefined;
  #handlers: Promise<unknown> | undefined;
  #toldToEnd = false;

  constructor(hooks: Hooks, standalone: Standalone, channel: Channel, log: ServerLog) {
    this.#hooks = hooks;
    this.#standalone = standalone;
    this.#channel = channel;
    this.#log = log;
  }

  /** The drain begins. */
  begin(): void {
    this.#standalone.capture.keepIdleConnections();
    this.#hook = this.#callHook();
  }

  /** The connections left are no requests, or have had their time: the program may be told to end. Idempotent. */
  runHandlers(): void {
    if (this.#toldToEnd) return;
    this.#toldToEnd = true;
    this.#handlers = this.#standalone.runHandlers((err) =>
      this.#log.logger.error({ err }, "the app's signal handler failed"),
    );
  }

  /** Every connection has ended. Resolves with the app's own exit status when it has finished too. */
  async finish(): Promise<number> {
    const { capture, exit, flushStreams } = this.#standalone;
    const alone = this.#channel.alone();
    this.runHandlers();
    capture.end();
    await Promise.race([this.#appEnds(), alone.promise]);
    alone.done();
    await flushStreams();
    return exit.status ?? 0;
  }

  async #appEnds(): Promise<void> {
    await this.#hook;
    if (this.#handlers === undefined) return;
    const { requested } = this.#standalone.exit;
    await Promise.race([requested, this.#handlers.then(() => sleep(LINGER_MS, undefined, { ref: false }))]);
  }

  async #callHook(): Promise<void> {
    try {
      await this.#hooks.onShutdown?.();
    } catch (err) {
      this.#log.logger.error({ err }, 'onShutdown() failed; the worker goes on to drain');
    }
  }
}
