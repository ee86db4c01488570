/** Which of the forms of an app a value is. */
import { AppLoadError } from '../../errors.ts';
import { fastify } from './adapters/fastify.ts';
import { fetch } from './adapters/fetch.ts';
import { handler } from './adapters/handler.ts';
import { koa } from './adapters/koa.ts';
import { nest } from './adapters/nest.ts';
import { server } from './adapters/server.ts';
import { type Form, isClass, type Serve } from './form.ts';

/** What an object may have beside other things; the rest is made by a framework or by Node.js. */
const INSTANCES: readonly Form[] = [server, fastify, nest, koa];
/** The more a form asks for, the earlier it comes: many frameworks' apps are functions or have a `handle` too. */
const FORMS: readonly Form[] = [...INSTANCES, fetch, handler];

/** How to serve `value`. Throws AppLoadError where it is no app. */
export function shape(value: unknown, label: string): Serve {
  const serve = firstOf(FORMS, value);
  if (serve) return serve;
  const cure = isClass(value)
    ? ' Export an instance of it, or a function that makes one: TSUNICORN_APP=path:name()'
    : '';
  throw new AppLoadError(
    `${label} is ${describe(value)}, which is no app. An app is a (req, res) or a fetch(request) function, an object with fetch or handler, a framework's app (Express, Fastify, Koa, Nest, Hono, H3, Elysia), or an http.Server that is not listening.${cure}`,
  );
}

export function isApp(value: unknown): boolean {
  return firstOf(FORMS, value) !== undefined;
}

/** Something that is an app as a whole, whatever else it has. */
export function isInstance(value: unknown): boolean {
  return firstOf(INSTANCES, value) !== undefined;
}

function firstOf(forms: readonly Form[], value: unknown): Serve | undefined {
  for (const form of forms) {
    const serve = form(value);
    if (serve) return serve;
  }
  return undefined;
}

function describe(value: unknown): string {
  if (typeof value === 'function') return 'a class';
  if (value === null || typeof value !== 'object') return String(value);
  return `an object with ${Object.keys(value).join(', ') || 'nothing in it'}`;
}
