/**
 * How the app's copy of this package finds the worker that serves it. The worker runs another copy if tsunicorn is
 * installed apart from the app, as in the image, so the two meet at a registered symbol.
 */

/** What an app may know of the current request. Fields are named as in the access log. */
export interface RequestContext {
  /** `X-Request-Id`, else the trace id, else one made by tsunicorn. */
  readonly request_id: string;
  /** Of a valid `traceparent` (W3C Trace Context). */
  readonly trace_id?: string;
}

/** Set by a worker before it loads the app. Only ever extend it: the other side may be an older or newer copy. */
export interface ContextHook {
  /** From now on requests carry their context. */
  enable(): void;
  /** The context of the request that the calling code runs for. */
  current(): RequestContext | undefined;
}

const HOOK = Symbol.for('tsunicorn.request-context');

const carrier: typeof globalThis & { [HOOK]?: ContextHook } = globalThis;

export function setContextHook(hook: ContextHook): void {
  carrier[HOOK] = hook;
}

export function contextHook(): ContextHook | undefined {
  return carrier[HOOK];
}
