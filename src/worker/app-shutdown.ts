/**
 * The app's part in a drain: `onShutdown` when it begins, signal handlers once no request needs the app any more, and
 * what they set off before the worker ends.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ServerLog } from '../observe/log/server-log.ts';
import type { Hooks } from './app/exports.ts';
import type { Channel } from './channel.ts';
import type { Standalone } from './standalone/standalone.ts';

/**
 * Programs end by process.exit(), or because nothing is left to do. One that does neither after its signal handlers
 * would not end by itself either.
 */
const LINGER_MS = 1_000;

export class Ending {
  readonly #hooks: Hooks;
  readonly #unmodified: Standalone;
  readonly #channel: Channel;
  readonly #log: ServerLog;
  #shutdown: Promise<void> | undefined;
  #handlers: Promise<void> | undefined;
  #handled = false;

  constructor(hooks: Hooks, unmodified: Standalone, channel: Channel, log: ServerLog) {
    this.#hooks = hooks;
    this.#unmodified = unmodified;
    this.#channel = channel;
    this.#log = log;
  }

  /** The drain begins. */
  begin(): void {
    this.#unmodified.capture.keepIdleConnections();
    this.#shutdown = this.#callHook();
  }

  /** Connections that are left are no requests, or have had their time: the program may be told to end. Idempotent. */
  runHandlers(): void {
    if (this.#handled) return;
    this.#handled = true;
    this.#handlers = this.#unmodified.signals.run((err) =>
      this.#log.logger.error({ err }, "the app's signal handler failed"),
    );
  }

  /** Every connection has ended. Resolves with the app's own exit status when it has finished too. */
  async finish(): Promise<number> {
    const { capture, exit, flushStreams } = this.#unmodified;
    const alone = this.#channel.alone();
    this.runHandlers();
    capture.end();
    await Promise.race([this.#appEnds(), alone.promise]);
    alone.done();
    await flushStreams();
    return exit.status ?? 0;
  }

  async #appEnds(): Promise<void> {
    await this.#shutdown;
    if (this.#handlers === undefined) return;
    const { requested } = this.#unmodified.exit;
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
