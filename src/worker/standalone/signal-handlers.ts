/**
 * The app's own signal handlers. A signal may reach a whole process group, and what it means is the arbiter's decision:
 * handlers for the signals that end a program are held back, and run when the worker drains.
 */
import { constants } from 'node:os';

const HELD = ['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGHUP'] as const;
/** Whose handlers run at the drain: those for SIGTERM, and where there are none those for SIGINT. */
const AT_THE_END = ['SIGTERM', 'SIGINT'] as const;

type HeldSignal = (typeof HELD)[number];
type Handler = (signal: NodeJS.Signals, number: number) => unknown;

export class SignalHandlers {
  readonly #process: NodeJS.Process;
  readonly #arrived: (signal: HeldSignal) => void;
  /** Does nothing, and shows in `process.listeners()`: some libraries end the process where they are alone. */
  readonly #ours = (): void => {};

  /** `arrived` hears of the signals that this process receives. */
  constructor(process: NodeJS.Process, arrived: (signal: HeldSignal) => void) {
    this.#process = process;
    this.#arrived = arrived;
    for (const signal of HELD) this.#hold(signal);
    process.on('removeListener', (event, listener) => {
      // removeAllListeners(): without any listener the signal would have its default effect again.
      const signal = HELD.find((held) => held === event);
      if (signal && listener === this.#ours && !this.#handlers(signal, true).includes(this.#ours)) this.#hold(signal);
    });
  }

  /** Runs the app's handlers. Resolves once their promises have settled; undefined where the app has none. */
  run(failed: (error: unknown) => void): Promise<void> | undefined {
    const signal = AT_THE_END.find((name) => this.#handlers(name).length > 0);
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

  /** Raw, so that what was added by once() is removed as it runs. */
  #handlers(signal: HeldSignal, all = false): Handler[] {
    const handlers = this.#process.rawListeners(signal) as unknown as Handler[];
    return all ? handlers : handlers.filter((handler) => handler !== this.#ours);
  }

  /** What a signal calls is `process.emit` as it is when the first listener comes, so that is another one meanwhile. */
  #hold(signal: HeldSignal): void {
    const { emit } = this.#process;
    const others = this.#handlers(signal);
    this.#process.removeAllListeners(signal);
    this.#process.emit = ((event: string | symbol, ...args: unknown[]): boolean => {
      if (event !== signal) return Reflect.apply(emit, this.#process, [event, ...args]);
      this.#arrived(signal);
      return true;
    }) as typeof emit;
    this.#process.on(signal, this.#ours);
    this.#process.emit = emit;
    for (const handler of others) this.#process.on(signal, handler);
  }
}
