/**
 * Events of the process that the worker itself wants to know of. Libraries count listeners, such as an error tracker that
 * ends the process where its own is the only one. So the worker's are not in the lists of the process, which are those of
 * plain Node.js, and no `removeAllListeners()` of the app reaches them. Node.js calls `process.emit`, which is ours.
 */
import { SIGNALS } from '../platform/signals.ts';

/** What a listener returns for an event that is the worker's alone. */
export const TAKEN = Symbol('taken');

type EventName = string | symbol;
type EventListener = (...args: never[]) => unknown;
type Emit = (event: EventName, ...args: unknown[]) => boolean;

/** By this name Node.js has a listener that gives a signal without a handler its default effect again. */
const STOP = 'stopListeningIfSignal';
/** Without these Node.js would not learn of signal handlers. */
const HOOKS: readonly EventName[] = ['newListener', 'removeListener'];

export class ProcessEvents {
  readonly #process: NodeJS.Process;
  readonly #listeners = new Map<EventName, Set<EventListener>>();
  /** Signals that never have their default effect. */
  readonly #kept = new Set<EventName>();

  constructor(process: NodeJS.Process) {
    this.#process = process;
    const emit = process.emit as Emit;
    this.#replace('emit', ((event, ...args) => {
      for (const listener of this.#listeners.get(event) ?? []) {
        if (Reflect.apply(listener, process, args) === TAKEN) return true;
      }
      return Reflect.apply(emit, process, [event, ...args]);
    }) satisfies Emit);
    this.#keepHooks();
    this.#hideThoseOfTheChannel();
    this.on('removeListener', (event: EventName, listener: EventListener) => this.#removed(event, listener));
  }

  /** Called before the app's listeners, and instead of them if it returns {@link TAKEN}. Returns what undoes it. */
  on(event: EventName, listener: EventListener): () => void {
    const listeners = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, listeners.add(listener));
    return () => void listeners.delete(listener);
  }

  /** Calls `received`, and no handler, when this process receives `signal`. */
  takeSignal(signal: NodeJS.Signals, received: () => void): void {
    const { emit } = this.#process;
    const placeholder = (): void => {};
    const handlers = this.#process.rawListeners(signal) as NodeJS.SignalsListener[];
    this.#process.removeAllListeners(signal);
    // Node.js binds `process.emit` as it is when a signal's first listener is added, so it is replaced for that moment.
    this.#replace('emit', ((event, ...args) => {
      if (event !== signal) return Reflect.apply(emit, this.#process, [event, ...args]);
      received();
      return true;
    }) satisfies Emit);
    this.#process.on(signal, placeholder);
    this.#replace('emit', emit);
    this.#kept.add(signal);
    this.#process.off(signal, placeholder);
    for (const handler of handlers) this.#process.on(signal, handler);
  }

  /** `restore` removes the listeners that {@link SIGNALS} have had until now: they stay without effect. */
  keepSignals(restore: () => void): void {
    for (const signal of SIGNALS) this.#kept.add(signal);
    restore();
  }

  /** Node.js must not learn that a signal has lost its last handler. */
  #removed(event: EventName, removed: EventListener): typeof TAKEN | undefined {
    if (!this.#kept.has(event) || this.#process.listenerCount(event) > 0) return undefined;
    for (const listener of this.#process.listeners('removeListener')) {
      if (listener.name !== STOP) Reflect.apply(listener, this.#process, [event, removed]);
    }
    return TAKEN;
  }

  /** What Node.js adds where there is an IPC channel: all listeners of its messages, and the last ones of the hooks. */
  #hideThoseOfTheChannel(): void {
    for (const event of ['internalMessage', ...HOOKS]) {
      const all = this.#process.listeners(event as 'message') as EventListener[];
      const first = all.findIndex(({ name }) => name.endsWith('ListeningIfSignal')) + 1;
      for (const listener of all.slice(first)) {
        this.#process.off(event, listener as () => void);
        this.on(event, listener);
      }
    }
  }

  /** A bare removeAllListeners() would also remove the hooks. */
  #keepHooks(): void {
    const process = this.#process;
    const { removeAllListeners } = process;
    this.#replace('removeAllListeners', (...names: unknown[]) => {
      if (names.length > 0) return Reflect.apply(removeAllListeners, process, names as []);
      for (const name of process.eventNames()) {
        if (!HOOKS.includes(name)) Reflect.apply(removeAllListeners, process, [name]);
      }
      return process;
    });
  }

  #replace(name: 'emit' | 'removeAllListeners', value: unknown): void {
    Object.defineProperty(this.#process, name, { configurable: true, writable: true, value });
  }
}
