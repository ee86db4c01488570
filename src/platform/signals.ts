/** The signals that tsunicorn answers to. Handlers only enqueue: what a signal does is decided in the arbiter's loop. */
import { isatty } from 'node:tty';
import { loadNative } from './native/native.ts';

const DEBUGGER_OPENS_MS = 500;

/** A flag of `node`: SIGUSR1 in the first moments of a process ends it instead of opening the debugger. */
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
 * For a worker that boots: a terminal, a supervisor or logrotate may signal the whole process group. Returns what gives
 * signals back to those who have listened since.
 */
export function ignoreSignals(process: NodeJS.Process): () => void {
  writeFromBackground();
  for (const signal of SIGNALS) if (process.listenerCount(signal) === 0) process.on(signal, ignore);
  return () => {
    for (const signal of SIGNALS) if (process.listenerCount(signal) > 1) process.off(signal, ignore);
  };
}

/**
 * Closes the debugger where SIGUSR1 has opened it: until there is a handler that is what Node.js does with the signal,
 * unless it runs with --disable-sigusr1.
 */
function closeDebugger(process: NodeJS.Process): void {
  const { execArgv, env } = process;
  if ([...execArgv, env.NODE_OPTIONS ?? ''].some((option) => /--inspect(?!-port|-publish)/.test(option))) return;
  // Not in Node.js' documents, and free: to import node:inspector costs the arbiter 2 MB.
  (process as { _debugEnd?: () => void })._debugEnd?.();
}

/**
 * Listens from now on; `connect` says where to, once that is there, and returns what undoes it all. What comes before
 * waits: to PID 1 a signal that it has no handler for does not even arrive (pid_namespaces(7)).
 */
export function listenForSignals(process: NodeJS.Process): { connect(enqueue: Enqueue): () => void } {
  const waiting: ArbiterSignal[] = [];
  let enqueue: Enqueue = (signal) => void waiting.push(signal);
  writeFromBackground();
  const undo = SIGNALS.map((signal) => {
    const handler = (): void => enqueue(signal);
    process.on(signal, handler);
    return () => void process.off(signal, handler);
  });
  // Not at once: another thread asks for it, and the event loop opens it (again) as it polls, which is after timers.
  setTimeout(setImmediate, DEBUGGER_OPENS_MS, closeDebugger, process).unref();
  return {
    connect(to) {
      enqueue = to;
      for (const signal of waiting.splice(0)) to(signal);
      return () => undo.forEach((off) => void off());
    },
  };
}

export type Signals = ReturnType<typeof listenForSignals>;
