/** How a worker stops: what it has accepted is answered, then the app ends (docs/design.md, "Drain"). */

import type { Ending } from './app-shutdown.ts';
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

/** Of the time that is left: after that the app's signal handlers run though there are requests. */
const HANDLERS_AT = 0.5;
/**
 * Streams are ended this long before the kill, or at four fifths of a shorter time; half of it is for their clients to
 * close, the other half for the app and the logs. A second on the way is more than any round trip.
 */
const END_MARGIN_MS = 2_000;
const END_MARGIN = 0.2;

export interface DrainOptions {
  readonly connections: Connections;
  readonly acceptor: Acceptor;
  readonly ending: Ending;
  /** Development: `TSUNICORN_RELOAD`. */
  readonly reload: boolean;
  /** Nobody else serves what waits in the accept queues. */
  readonly sweep: boolean;
}

export interface Haste {
  /** Idle connections are closed, and the app is told, without waiting a moment. */
  readonly quick: boolean;
  /** Milliseconds from now until the worker is killed. */
  readonly leftMs: number;
}

export class Drain {
  readonly #options: DrainOptions;
  #quietMs = Number.POSITIVE_INFINITY;
  /** Of performance.now(), as all that follows. */
  #handlersAt = Number.POSITIVE_INFINITY;
  #endStreamsAt = Number.POSITIVE_INFINITY;
  #closeEndedAt = Number.POSITIVE_INFINITY;

  constructor(options: DrainOptions, haste: Haste) {
    this.#options = options;
    this.hasten(haste);
  }

  /** There is so much time, and no more; nothing gets later by it. */
  hasten({ quick, leftMs }: Haste): void {
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
    const { connections, acceptor, ending, sweep } = this.#options;
    connections.closeAfterResponse();
    ending.begin();
    await acceptor.end(sweep);
    const { promise, resolve } = Promise.withResolvers<void>();
    const check = (): void => {
      this.#advance(performance.now());
      if (connections.size === 0 && acceptor.held === 0) resolve();
    };
    // Once the loop has read what there was to read: see Connections.closeIdle().
    const timer = setInterval(() => setImmediate(check), CHECK_MS);
    check();
    await promise;
    clearInterval(timer);
  }

  #advance(now: number): void {
    const { connections, acceptor, ending } = this.#options;
    connections.closeIdle(this.#quietMs, now);
    const hasRequests = acceptor.held > 0 || [...connections].some(({ upgraded }) => !upgraded);
    if (!hasRequests || now >= this.#handlersAt) ending.runHandlers();
    if (now >= this.#endStreamsAt) connections.endStreams();
    if (now >= this.#closeEndedAt) connections.closeEnded();
  }
}
