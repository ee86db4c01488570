/**
 * The app's own signal handlers. What a signal means is the arbiter's decision, since it may reach the whole process
 * group: handlers for signals that end a program are deferred until the worker drains.
 */
import { constants } from 'node:os';

const DEFERRED = ['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGHUP'] as const;
/** The drain runs the handlers for the first of these that has any. */
const RUN_AT_DRAIN = ['SIGTERM', 'SIGINT'] as const;

type DeferredSignal = (typeof DEFERRED)[number];
type SignalHandler = (signal: NodeJS.Signals, number: number) => unknown;

export class DeferredSignals {
  readonly #process: NodeJS.Process;
  readonly #onSignal: (signal: DeferredSignal) => void;
  /** Shows in `process.listeners()`: some libraries end the process if they are the only listener. */
  readonly #placeholder = (): void => {};

  /** `onSignal`: this process received one. */
  constructor(process: NodeJS.Process, onSignal: (signal: DeferredSignal) => void) {
    this.#process = process;
    this.#onSignal = onSignal;
    for (const signal of DEFERRED) this.#defer(signal);
    process.on('removeListener', (event, listener) => {
      // removeAllListeners(): without a listener the signal would have its default effect again.
      const signal = DEFERRED.find((name) => name === event);
      if (signal && listener === this.#placeholder && !this.#listeners(signal).includes(listener)) this.#defer(signal);
    });
  }

  /** Runs the app's handlers. Resolves once their promises have settled; undefined if the app has none. */
  run(failed: (error: unknown) => void): Promise<void> | undefined {
    const signal = RUN_AT_DRAIN.find((name) => this.#handlers(name).length > 0);
    if (signal === undefined) return undefined;
    const results = this.#handlers(signal).map(async (handler) => {
      try {
        await handler.call(this.#process, signal, constants.signals[signal]);
      } catch (error) {
        failed(error);
      }
    });
    return Promise.all(results).then(() => {});
  }

  /** Raw: calling one that was added by once() also removes it. */
  #listeners(signal: DeferredSignal): SignalHandler[] {
    return this.#process.rawListeners(signal) as unknown as SignalHandler[];
  }

  #handlers(signal: DeferredSignal): SignalHandler[] {
    return this.#listeners(signal).filter((listener) => listener !== this.#placeholder);
  }

  /** Node.js binds `process.emit` as it is when a signal's first listener is added, so it is replaced for that moment. */
  #defer(signal: DeferredSignal): void {
    const { emit } = this.#process;
    const handlers = this.#handlers(signal);
    this.#process.removeAllListeners(signal);
    this.#process.emit = ((event: string | symbol, ...args: unknown[]): boolean => {
      if (event !== signal) return Reflect.apply(emit, this.#process, [event, ...args]);
      this.#onSignal(signal);
      return true;
    }) as typeof emit;
    this.#process.on(signal, this.#placeholder);
    this.#process.emit = emit;
    for (const handler of handlers) this.#process.on(signal, handler);
  }
}
