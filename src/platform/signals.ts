/** The arbiter's signals. Handlers only enqueue; the arbiter's loop decides what a signal does. */
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

/**
 * Listens from now on and queues signals until `connect`, which returns what undoes both. Early, because the kernel
 * drops a signal to PID 1 that has no handler (pid_namespaces(7)).
 */
export function listenForSignals(process: NodeJS.Process): { connect(enqueue: Enqueue): () => void } {
  const waiting: ArbiterSignal[] = [];
  let enqueue: Enqueue = (signal) => void waiting.push(signal);
  const undo = SIGNALS.map((signal) => {
    const handler = (): void => enqueue(signal);
    process.on(signal, handler);
    return () => void process.off(signal, handler);
  });
  return {
    connect(to) {
      enqueue = to;
      for (const signal of waiting.splice(0)) to(signal);
      return () => undo.forEach((off) => void off());
    },
  };
}

export type Signals = ReturnType<typeof listenForSignals>;
