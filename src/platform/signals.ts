/** The arbiter's signals. Handlers only enqueue; the arbiter's loop decides what a signal does. */
import { isatty } from 'node:tty';
import { loadNative } from './native/native.ts';

const DEBUGGER_OPENS_MS = 500;

/** For node: an early SIGUSR1 ends the process instead of opening the debugger. */
export const NO_DEBUGGER = '--disable-sigusr1';

type Enqueue = (signal: ArbiterSignal) => void;

export const SIGNALS = [
  'SIGTERM',
  'SIGINT',
  'SIGQUIT',
  'SIGHUP',
  'SIGTTIN',
  'SIGTTOU',
  'SIGUSR1',
  'SIGUSR2',
  'SIGWINCH',
] as const satisfies readonly NodeJS.Signals[];

export type ArbiterSignal = (typeof SIGNALS)[number];

function ignore(): void {}

/** With a handler for SIGTTOU a write from the background under `stty tostop` would be repeated for ever. */
function writeFromBackground(): void {
  if (isatty(1) || isatty(2)) loadNative().native?.writeFromBackground();
}

/**
 * For a worker that boots: a terminal, a supervisor or logrotate may signal the whole process group. The returned
 * function removes the listeners.
 */
export function ignoreSignals(process: NodeJS.Process): () => void {
  writeFromBackground();
  for (const signal of SIGNALS) if (process.listenerCount(signal) === 0) process.on(signal, ignore);
  return () => {
    for (const signal of SIGNALS) process.off(signal, ignore);
  };
}

/** Before there is a handler SIGUSR1 opens the debugger, unless Node.js runs with --disable-sigusr1. */
function closeDebugger(process: NodeJS.Process): void {
  const { execArgv, env } = process;
  if ([...execArgv, env.NODE_OPTIONS ?? ''].some((option) => /--inspect(?!-port|-publish)/.test(option))) return;
  // Undocumented, but free: importing node:inspector costs the arbiter 2 MB.
  (process as { _debugEnd?: () => void })._debugEnd?.();
}

/**
 * Listens for good, and queues signals until `connect`, which returns what ends their delivery. Early, because the kernel
 * drops a signal to PID 1 that has no handler (pid_namespaces(7)).
 */
export function listenForSignals(process: NodeJS.Process): { connect(enqueue: Enqueue): () => void } {
  const waiting: ArbiterSignal[] = [];
  let enqueue: Enqueue = (signal) => void waiting.push(signal);
  writeFromBackground();
  for (const signal of SIGNALS) process.on(signal, () => enqueue(signal));
  // Later, and in the check phase: another thread asks for the debugger, and the event loop opens it as it polls.
  setTimeout(setImmediate, DEBUGGER_OPENS_MS, closeDebugger, process).unref();
  return {
    connect(to) {
      enqueue = to;
      for (const signal of waiting.splice(0)) to(signal);
      // The handlers stay: without one a signal would end a process that has stopped as asked.
      return () => {
        enqueue = ignore;
      };
    },
  };
}

export type Signals = ReturnType<typeof listenForSignals>;
