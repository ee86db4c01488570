/** What apps may import from `tsunicorn`: types, since an app needs nothing else to be served. */

export { version } from './version.ts';
export type { FetchHandler, FetchInfo, FetchRequest, NodeHandler } from './worker/app/app.ts';
