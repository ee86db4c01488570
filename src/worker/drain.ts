/** How a worker stops: what it has accepted is answered, then the app ends (docs/design.md, "Drain"). */
import type { Acceptor } from './accept.ts';
import type { Connections } from './connections.ts';
import type { Ending } from './ending.ts';

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
  /** Idle connections are closed, and the app is told, without waiting a moment. */
  readonly quick: boolean;
  /** Development: `TSUNICORN_RELOAD`. */
  readonly reload: boolean;
  /** Milliseconds until the worker is killed. */
  readonly leftMs: number;
}

/** Resolves when no connection is left. */
export async function drain(options: DrainOptions): Promise<void> {
  const { connections, acceptor, ending, quick, reload, leftMs } = options;
  const quietMs = reload ? RELOAD_QUIET_MS : IDLE_QUIET_MS;
  const killedAt = performance.now() + leftMs;
  const handlersAt = quick ? 0 : killedAt - leftMs * (1 - HANDLERS_AT);
  const margin = Math.min(END_MARGIN_MS, leftMs * END_MARGIN);
  connections.closeAfterResponse();
  ending.begin();
  await acceptor.end();
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setInterval(check, CHECK_MS);
  check();
  await promise;
  clearInterval(timer);

  function check(): void {
    const now = performance.now();
    connections.closeIdle(quick ? 0 : quietMs, now);
    const hasRequests = acceptor.held > 0 || [...connections].some(({ upgraded }) => !upgraded);
    if (!hasRequests || now >= handlersAt) ending.runHandlers();
    if (now >= killedAt - margin) connections.endStreams();
    if (now >= killedAt - margin / 2) connections.closeEnded();
    if (connections.size === 0 && acceptor.held === 0) resolve();
  }
}
