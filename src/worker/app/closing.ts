/** An exported application with a `close()` that runs hooks of its own, which ought to run once. */
import { can, type Properties } from './duck-typing.ts';

/** What begins the hooks: `callDestroyHook()` is Nest's, whose own signal handlers do not call `close()` in every release. */
const BEGINNINGS = ['close', 'callDestroyHook'];

export class AppClosing {
  readonly #app: Properties;
  #begun = false;
  #ours: Promise<unknown> | undefined;

  /** Of a Fastify instance or a Nest application; undefined for any other value. */
  static of(exported: unknown): AppClosing | undefined {
    const isFastify = can(exported, 'ready', 'inject', 'close') && 'server' in exported;
    const isNest = can(exported, 'init', 'getHttpServer', 'getHttpAdapter', 'close');
    return isFastify || isNest ? new AppClosing(exported) : undefined;
  }

  constructor(app: Properties) {
    this.#app = app;
    for (const name of BEGINNINGS) this.#watch(name);
  }

  /** Whether somebody has begun to close it. */
  get begun(): boolean {
    return this.#begun;
  }

  /** Closes it; what the program calls later waits for the same. */
  async close(): Promise<void> {
    const { close } = this.#app;
    this.#ours = Promise.resolve(typeof close === 'function' && close.call(this.#app));
    await this.#ours;
  }

  /** Nest's applications are proxies: what one reads from them calls the method by its name, and writing does nothing. */
  #watch(name: string): void {
    const app = this.#app;
    const own = Object.getOwnPropertyDescriptor(app, name)?.value;
    const method: unknown = own ?? Reflect.get(Object.getPrototypeOf(app), name);
    if (typeof method !== 'function') return;
    const closing = this;
    Object.defineProperty(app, name, {
      configurable: true,
      writable: true,
      value(this: unknown, ...args: unknown[]): unknown {
        closing.#begun = true;
        if (name === 'close' && closing.#ours) return closing.#ours;
        return Reflect.apply(method, this, args);
      },
    });
  }
}
