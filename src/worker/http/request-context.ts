/** Carries the current request through the app's asynchronous calls, once the app has asked for it. */
import type { AsyncLocalStorage } from 'node:async_hooks';
import type { IncomingMessage } from 'node:http';
import { type RequestContext, setContextHook } from '../../context-hook.ts';
import type { CallApp } from './gate.ts';

interface Handled {
  readonly request: IncomingMessage;
  context: RequestContext | undefined;
}

export class RequestContexts {
  /** Made once the app has imported the package: until then a request costs one look at it. */
  #storage: AsyncLocalStorage<Handled> | undefined;
  #contextOf: ((request: IncomingMessage) => RequestContext) | undefined;

  /** Make it before the app loads, which may ask at once. */
  constructor() {
    setContextHook({
      enable: () => {
        const { AsyncLocalStorage } = process.getBuiltinModule('node:async_hooks');
        this.#storage ??= new AsyncLocalStorage();
      },
      current: () => {
        const handled = this.#storage?.getStore();
        if (handled) handled.context ??= this.#contextOf?.(handled.request);
        return handled?.context;
      },
    });
  }

  around(call: CallApp, contextOf: (request: IncomingMessage) => RequestContext): CallApp {
    this.#contextOf = contextOf;
    return (request, event, args) => {
      if (this.#storage === undefined) return call(request, event, args);
      this.#storage.run({ request, context: undefined }, call, request, event, args);
    };
  }
}
