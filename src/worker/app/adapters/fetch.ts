/** An object with `fetch`: Hono, H3, Elysia, and what serverless platforms export. */
import type { FetchHandler } from '../app.ts';
import { can, type Form, isClass, type Serve } from '../form.ts';

export const fetch: Form = (value) => {
  if (!can(value, 'fetch') || isClass(value)) return undefined;
  return serveFetch((request, info) => value.fetch(request, info) as ReturnType<FetchHandler>);
};

export function serveFetch(handle: FetchHandler): Serve {
  return async ({ label }) => {
    // Only where it is needed: Request and Response load a whole HTTP client.
    const { adaptFetch } = await import('../../fetch/adapter.ts');
    return { kind: 'handler', name: label, handle: adaptFetch(handle, label) };
  };
}
