/** What apps may import from `tsunicorn`: types, since an app needs nothing else to be served. */

export { version } from './version.ts';
export type { NodeHandler } from './worker/app/app.ts';
