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

/** Runs the app's handlers. Resolves once their promises have settled; undefined if the app has none. */
export type RunHandlers = (failed: (error: unknown) => void) => Promise<unknown> | undefined;

/** `onSignal`: this process received one. */
export function deferSignals(process: NodeJS.Process, onSignal: (signal: DeferredSignal) => void): RunHandlers {
  /** Shows in `process.listeners()`: some libraries end the process if theirs is the only listener. */
  const placeholder = (): void => {};
  /** Raw: calling one that was added by once() also removes it. */
  const listenersOf = (signal: DeferredSignal) => process.rawListeners(signal) as unknown as SignalHandler[];
  const handlersOf = (signal: DeferredSignal) => listenersOf(signal).filter((listener) => listener !== placeholder);

  /** Node.js binds `process.emit` as it is when a signal's first listener is added, so it is replaced for that moment. */
  const defer = (signal: DeferredSignal): void => {
    const { emit } = process;
    const handlers = handlersOf(signal);
    process.removeAllListeners(signal);
    process.emit = ((event: string | symbol, ...args: unknown[]): boolean => {
      if (event !== signal) return Reflect.apply(emit, process, [event, ...args]);
      onSignal(signal);
      return true;
    }) as typeof emit;
    process.on(signal, placeholder);
    process.emit = emit;
    for (const handler of handlers) process.on(signal, handler);
  };

  for (const signal of DEFERRED) defer(signal);
  process.on('removeListener', (event, listener) => {
    // removeAllListeners(): without a listener the signal would have its default effect again.
    const signal = DEFERRED.find((name) => name === event);
    if (signal && listener === placeholder && !listenersOf(signal).includes(placeholder)) defer(signal);
  });

  return (failed) => {
    const signal = RUN_AT_DRAIN.find((name) => handlersOf(name).length > 0);
    if (signal === undefined) return undefined;
    const run = async (handler: SignalHandler) => handler.call(process, signal, constants.signals[signal]);
    return Promise.all(handlersOf(signal).map((handler) => run(handler).catch(failed)));
  };
}
