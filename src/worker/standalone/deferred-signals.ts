/**
 * The app's own signal handlers. What a signal means is the arbiter's decision, since it may reach the whole process
 * group: handlers for signals that end a program are deferred until the worker drains.
 */
import { constants } from 'node:os';
import type { ProcessEvents } from '../process-events.ts';

const DEFERRED = ['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGHUP'] as const;
/** The drain runs the handlers for the first of these that has any. */
const RUN_AT_DRAIN = ['SIGTERM', 'SIGINT'] as const;

type DeferredSignal = (typeof DEFERRED)[number];
type SignalHandler = (signal: NodeJS.Signals, number: number) => unknown;

/** Runs the app's handlers. Resolves once their promises have settled; undefined if the app has none. */
export type RunHandlers = (failed: (error: unknown) => void) => Promise<unknown> | undefined;

/** `onSignal`: this process received one. */
export function deferSignals(
  process: NodeJS.Process,
  events: ProcessEvents,
  onSignal: (signal: DeferredSignal) => void,
): RunHandlers {
  /** Raw: calling one that was added by once() also removes it. */
  const handlersOf = (signal: DeferredSignal) => process.rawListeners(signal) as unknown as SignalHandler[];
  for (const signal of DEFERRED) events.takeSignal(signal, () => onSignal(signal));
  return (failed) => {
    const signal = RUN_AT_DRAIN.find((name) => handlersOf(name).length > 0);
    if (signal === undefined) return undefined;
    const run = async (handler: SignalHandler) => handler.call(process, signal, constants.signals[signal]);
    return Promise.all(handlersOf(signal).map((handler) => run(handler).catch(failed)));
  };
}
