/** Carries the request at hand through the app's asynchronous calls, once the app has asked for it. */
import type { AsyncLocalStorage } from 'node:async_hooks';
import type { IncomingMessage } from 'node:http';
import { type RequestContext, setContextHook } from '../../context-hook.ts';
import type { NodeHandler } from '../app/app.ts';

interface Handled {
  readonly request: IncomingMessage;
  /** Made when it is asked for. */
  context: RequestContext | undefined;
}

export class RequestContexts {
  /** There once the app has imported the package: until then a request costs one look at it. */
  #storage: AsyncLocalStorage<Handled> | undefined;
  #contextOf: ((request: IncomingMessage) => RequestContext) | undefined;

  /** Before the app is loaded, which may ask while it is. */
  offer(): void {
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

  /** `handle` with the context at hand. */
  around(handle: NodeHandler, contextOf: (request: IncomingMessage) => RequestContext): NodeHandler {
    this.#contextOf = contextOf;
    return (request, response) => {
      if (this.#storage === undefined) return handle(request, response);
      return this.#storage.run({ request, context: undefined }, handle, request, response);
    };
  }
}
