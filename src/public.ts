/** What apps may import from `tsunicorn`. An app needs none of it to be served. */
import { contextHook, type RequestContext } from './context-hook.ts';

export type { RequestContext } from './context-hook.ts';
export { version } from './version.ts';
export type { FetchHandler, FetchInfo, FetchRequest, NodeHandler } from './worker/app/app.ts';

// Workers carry contexts only for apps that import this.
contextHook()?.enable();

/**
 * The ids of the request that the calling code runs for, for an app's own log: `pino({ mixin: () => requestContext() ??
 * {} })`. undefined outside of a request, and where the app is not served by tsunicorn.
 */
export function requestContext(): RequestContext | undefined {
  return contextHook()?.current();
}
