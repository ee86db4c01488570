/**
 * Where the app's copy of this package finds the worker that serves it. They are two copies whenever tsunicorn is
 * installed apart from the app, as in the image, so they meet at a registered symbol.
 */

/** What the app may know of the request at hand; the fields are named as in the access log. */
export interface RequestContext {
  /** `X-Request-Id`, else the trace id, else one made by tsunicorn. */
  readonly request_id: string;
  /** Of a valid `traceparent` (W3C Trace Context). */
  readonly trace_id?: string;
}

/** Set by a worker before it loads the app. Only ever extended: an older or newer copy may be on the other side. */
export interface ContextHook {
  /** From now on requests are handled with their context at hand. */
  enable(): void;
  /** The context of the request that this code runs for. */
  current(): RequestContext | undefined;
}

const HOOK = Symbol.for('tsunicorn.request-context');

type Carrier = typeof globalThis & { [HOOK]?: ContextHook };

export function setContextHook(hook: ContextHook): void {
  (globalThis as Carrier)[HOOK] = hook;
}

export function contextHook(): ContextHook | undefined {
  return (globalThis as Carrier)[HOOK];
}
