/** How a worker stops: it answers what it has accepted, then ends the app (docs/design.md, "Drain"). */
import { setTimeout as sleep } from 'node:timers/promises';
import type { AppClosing } from './app/closing.ts';
import type { Hooks } from './app/exports.ts';
import type { WorkerContext } from './boot.ts';
import type { Acceptor } from './http/accept.ts';
import type { Connections } from './http/connections.ts';

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
/** After a poll the next one comes within a round trip. Clients that were told to leave come back after 500 ms or more. */
const POLLS_QUIET_MS = 300;
const LONGEST_POLLS_MS = 1_500;
const POLLS_CHECK_MS = 10;
/** A program that neither exits nor runs out of work after its signal handlers would not end by itself either. */
const LINGER_MS = 1_000;

export interface DrainOptions {
  readonly connections: Connections;
  readonly acceptor: Acceptor;
  readonly app: Pick<AppShutdown, 'begin' | 'runHandlers' | 'close'>;
  readonly reload: boolean;
  /** No other worker serves what waits in the accept queues. */
  readonly drainQueues: boolean;
  readonly stoppedAccepting: () => void;
}

export class ConnectionDrain {
  readonly #options: DrainOptions;
  #quietMs = Number.POSITIVE_INFINITY;
  /** Times of performance.now(). */
  #handlersAt = Number.POSITIVE_INFINITY;
  #closeAt = Number.POSITIVE_INFINITY;
  #endStreamsAt = Number.POSITIVE_INFINITY;
  #closeEndedAt = Number.POSITIVE_INFINITY;

  constructor(options: DrainOptions) {
    this.#options = options;
  }

  /**
   * Sets the pace, before {@link run}; later it can only make the drain faster. `quick`: close idle connections, and tell
   * the app, without waiting. `leftMs`: from now until the worker is killed.
   */
  hasten(quick: boolean, leftMs: number): void {
    const now = performance.now();
    const margin = Math.min(END_MARGIN_MS, leftMs * END_MARGIN);
    const quietMs = this.#options.reload ? RELOAD_QUIET_MS : IDLE_QUIET_MS;
    this.#quietMs = Math.min(this.#quietMs, quick ? 0 : quietMs);
    this.#handlersAt = Math.min(this.#handlersAt, quick ? now : now + leftMs * HANDLERS_AT);
    this.#closeAt = Math.min(this.#closeAt, now + leftMs * HANDLERS_AT); // in a quick stop, too: requests need what it closes
    this.#endStreamsAt = Math.min(this.#endStreamsAt, now + leftMs - margin);
    this.#closeEndedAt = Math.min(this.#closeEndedAt, now + leftMs - margin / 2);
  }

  async run(): Promise<void> {
    const { connections, acceptor, app, drainQueues, stoppedAccepting } = this.#options;
    connections.closeAfterResponse();
    app.begin();
    if (!drainQueues) await this.#endLongPolls();
    await acceptor.end(drainQueues);
    stoppedAccepting();
    for (;;) {
      const now = performance.now();
      connections.endLongPolls();
      connections.closeIdle(this.#quietMs, now);
      const hasRequests = acceptor.held > 0 || [...connections].some(({ upgraded }) => !upgraded);
      if (!hasRequests || now >= this.#handlersAt) app.runHandlers();
      if (!hasRequests || now >= this.#closeAt) app.close();
      if (now >= this.#endStreamsAt) connections.endStreams();
      if (now >= this.#closeEndedAt) connections.closeEnded();
      if (connections.size === 0 && acceptor.held === 0) return;
      await sleep(CHECK_MS);
      await new Promise(setImmediate); // the loop has read what there was to read: see Connections.closeIdle()
    }
  }

  /** Accepts until the clients that were between two polls have come, too: the successor, which waits, does not know them. */
  async #endLongPolls(): Promise<void> {
    const { connections } = this.#options;
    const start = performance.now();
    let last = connections.hadLongPolls() ? start : Number.NEGATIVE_INFINITY;
    for (let now = start; now - last < POLLS_QUIET_MS && now - start < LONGEST_POLLS_MS; now = performance.now()) {
      const { ended, left } = connections.endLongPolls();
      if (ended > 0 || left > 0) last = now;
      await sleep(POLLS_CHECK_MS);
    }
  }
}

/** `onShutdown` as the drain begins; the app's signal handlers once no request needs it; then it may end. */
export class AppShutdown {
  readonly #hooks: Hooks;
  readonly #context: WorkerContext;
  readonly #closing: AppClosing | undefined;
  #hook: Promise<void> | undefined;
  #closed: Promise<void> | undefined;
  #handlers: Promise<unknown> | undefined;
  #toldToEnd = false;

  constructor(hooks: Hooks, closing: AppClosing | undefined, context: WorkerContext) {
    this.#hooks = hooks;
    this.#closing = closing;
    this.#context = context;
  }

  begin(): void {
    const { capture, cluster } = this.#context.standalone;
    capture.keepIdleConnections();
    cluster.drains();
    this.#hook = this.#callHook();
  }

  /** The connections left are no requests, or have had their time: the program may be told to end. Idempotent. */
  runHandlers(): void {
    if (this.#toldToEnd) return;
    this.#toldToEnd = true;
    const { standalone, log } = this.#context;
    this.#handlers = standalone.runHandlers((err) => log.logger.error({ err }, "the app's signal handler failed"));
  }

  /** Closes the exported application, after the signal handlers, unless these do. Idempotent. */
  close(): void {
    const closing = this.#closing;
    if (!closing || this.#closed) return;
    this.runHandlers();
    this.#closed = this.#closeUnlessBegun(closing).catch((err) => {
      this.#context.log.logger.error({ err }, "the app's close() failed");
    });
  }

  async #closeUnlessBegun(closing: AppClosing): Promise<void> {
    const { requested } = this.#context.standalone.exit;
    await Promise.race([this.#handlers, requested]);
    await new Promise(setImmediate); // for a handler that nobody awaits
    if (!closing.begun) await closing.close();
  }

  /** Every connection has ended. Resolves with the app's own exit status when it has finished too. */
  async finish(): Promise<number> {
    const { channel, standalone } = this.#context;
    const { capture, cluster, exit, flushStreams } = standalone;
    const alone = channel.alone(true);
    this.runHandlers();
    this.close();
    capture.end();
    cluster.drained();
    await Promise.race([this.#appEnds(), alone.promise]);
    alone.done();
    await flushStreams();
    return exit.status ?? 0;
  }

  async #appEnds(): Promise<void> {
    await this.#hook;
    await this.#closed;
    if (this.#handlers === undefined) return;
    const { requested } = this.#context.standalone.exit;
    await Promise.race([requested, this.#handlers.then(() => sleep(LINGER_MS, undefined, { ref: false }))]);
  }

  async #callHook(): Promise<void> {
    try {
      await this.#hooks.onShutdown?.();
    } catch (err) {
      this.#context.log.logger.error({ err }, 'onShutdown() failed; the worker goes on to drain');
    }
  }
}
