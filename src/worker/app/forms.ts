/** The forms of an app: how each is recognised, by what it can do, and how it is served. */
import type { Server, ServerResponse } from 'node:http';
import { AppLoadError } from '../../errors.ts';
import { sendResponse } from '../fetch/response.ts';
import type { App, FetchHandler, NodeHandler } from './app.ts';
import { can, describe, isClass, isHttpServer, isObject, isResponse, isThenable } from './duck-typing.ts';

/**
 * `label`: the app's name in logs and messages. `waitingFor` names what loading waits for now, for the message of the
 * boot timeout.
 */
type Serve = (label: string, waitingFor: (what: string) => void) => App | Promise<App>;

/** How to serve `value`; undefined if it does not have this form. */
type AppForm = (value: unknown) => Serve | undefined;

/** Forms that only a framework or Node.js makes. An object literal may have the others by accident. */
export const INSTANCES: readonly AppForm[] = [httpServer, fastify, nest, koa];
/** The more specific, the earlier: apps of many frameworks are functions too, or have a `handle` method. */
const FORMS: readonly AppForm[] = [...INSTANCES, fetchObject, handler];

/** How to serve `value`; undefined if it has none of these forms. */
export function formOf(value: unknown, forms = FORMS): Serve | undefined {
  for (const form of forms) {
    const serve = form(value);
    if (serve) return serve;
  }
  return undefined;
}

export function notAnApp(value: unknown, label: string): AppLoadError {
  const cure = isClass(value)
    ? ' Export an instance of it, or a function that makes one: TSUNICORN_APP=path:name()'
    : '';
  return new AppLoadError(
    `${label} is ${describe(value)}, which is not an app. An app is a (req, res) or fetch(request) function, an object with fetch or handler, a framework's app (Express, Fastify, Koa, Nest, Hono, H3, Elysia), or an http.Server that is not listening.${cure}`,
  );
}

/** An http.Server that is not listening, with all its listeners. */
function httpServer(value: unknown): Serve | undefined {
  return isHttpServer(value) ? (label) => serveServer(value, label) : undefined;
}

function serveServer(server: Server, label: string): App {
  if ('setSecureContext' in server) {
    throw new AppLoadError(
      `${label} is an HTTPS server, but workers speak plain HTTP on sockets that tsunicorn opens. Create it with node:http, and terminate TLS in a proxy in front`,
    );
  }
  if (server.listening) {
    throw new AppLoadError(`${label} is a server that is already listening; export it without calling listen()`);
  }
  return { kind: 'server', name: label, server };
}

/** A Fastify instance: its own server, after ready(), when its plugins have added their `upgrade` listeners. */
function fastify(value: unknown): Serve | undefined {
  if (!can(value, 'ready', 'inject') || !('server' in value)) return undefined;
  return async (label, waitingFor) => {
    waitingFor(`ready() of ${label}`);
    await value.ready();
    if (isHttpServer(value.server)) return serveServer(value.server, label);
    throw new AppLoadError(`${label} has a server that is not from node:http; create it without the option http2`);
  };
}

/** A Nest application: the server of its HTTP adapter, after init(). */
function nest(value: unknown): Serve | undefined {
  if (!can(value, 'init', 'getHttpServer', 'getHttpAdapter')) return undefined;
  return async (label, waitingFor) => {
    waitingFor(`init() of ${label}`);
    await value.init();
    const adapter = value.getHttpAdapter();
    const instance = can(adapter, 'getInstance') ? adapter.getInstance() : undefined;
    // Nest on Fastify leaves this to its own listen().
    if (can(instance, 'ready', 'inject')) await instance.ready();
    const server = value.getHttpServer();
    if (isHttpServer(server)) return serveServer(server, label);
    throw new AppLoadError(`${label} has a server that is not from node:http`);
  };
}

function koa(value: unknown): Serve | undefined {
  // Express apps are functions, and have no callback().
  if (!can(value, 'callback', 'use') || typeof value === 'function') return undefined;
  return (label) => ({ kind: 'handler', name: label, handle: value.callback() as NodeHandler });
}

/** An object with `fetch`: Hono, H3, Elysia, and what serverless platforms export. */
function fetchObject(value: unknown): Serve | undefined {
  if (!can(value, 'fetch') || isClass(value)) return undefined;
  return serveFetch((request, info) => value.fetch(request, info) as ReturnType<FetchHandler>);
}

function serveFetch(handle: FetchHandler): Serve {
  return async (label) => {
    // Imported on demand: Request and Response load a whole HTTP client.
    const { adaptFetch } = await import('../fetch/adapter.ts');
    return { kind: 'handler', name: label, handle: adaptFetch(handle, label) };
  };
}

/**
 * A function, or an object with a `handler` or `handle` method. One declared parameter makes it a fetch handler, two or
 * more make it (req, res), and none makes it a (req, res) that may return a Response.
 */
function handler(value: unknown): Serve | undefined {
  const handle = functionOf(value);
  if (handle === undefined) return undefined;
  if (handle.length === 1) return serveFetch(handle as unknown as FetchHandler);
  const settle = handle.length === 0 ? respondWith : refuseResult;
  return (label) => ({
    kind: 'handler',
    name: label,
    handle: (request, response) => {
      const result = handle(request, response);
      if (isThenable(result)) return result.then((settled) => settle(settled, response, label));
      return settle(result, response, label);
    },
  });
}

function functionOf(value: unknown): NodeHandler | undefined {
  if (typeof value === 'function') return isClass(value) ? undefined : (value as NodeHandler);
  if (can(value, 'handler')) return value.handler.bind(value);
  return can(value, 'handle') ? value.handle.bind(value) : undefined;
}

/** The result of a function without declared parameters, which may be the whole response. */
function respondWith(result: unknown, response: ServerResponse, label: string): unknown {
  if (isResponse(result)) return sendResponse(result, response, label);
  const isApp =
    typeof result === 'function' || can(result, 'fetch') || can(result, 'use') || can(result, 'listen', 'emit');
  if (response.headersSent || !isApp) return refuseEventResult(result, response, label);
  throw new TypeError(
    `${label} returned an app instead of a response. It looks like a factory, so call it: TSUNICORN_APP=path:name()`,
  );
}

/** A (req, res) handler answers through `res`; one that returns a Response expected a Request. */
function refuseResult(result: unknown, response: ServerResponse, label: string): unknown {
  if (!isResponse(result) || response.headersSent) return refuseEventResult(result, response, label);
  throw new TypeError(
    `${label} returned a Response, but was called as (req, res) because it declares more than one parameter. A fetch handler declares one, or is a method: export default { fetch }`,
  );
}

/** What functions on AWS Lambda and the like return as their answer. */
const EVENT_RESULT = ['statusCode', 'status', 'body', 'jsonBody'];

/** Nobody would answer. A `res` that a handler returns is no plain object. */
function refuseEventResult(result: unknown, response: ServerResponse, label: string): undefined {
  if (!isObject(result) || response.headersSent || !EVENT_RESULT.some((key) => Object.hasOwn(result, key))) return;
  const prototype = Object.getPrototypeOf(result);
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) return;
  throw new TypeError(
    `${label} returned ${describe(result)}, but was called as (req, res) and did not answer through res. It looks like a serverless (event, context) handler, as on AWS Lambda: export a function (request) that returns a Response, or the app inside it`,
  );
}
