/**
 * A function, or an object with a `handler` or `handle` method. By what it declares: one parameter is a fetch handler,
 * two and more are (req, res), and none is (req, res) that may return a Response as well.
 */
import type { ServerResponse } from 'node:http';
import { isResponse, sendResponse } from '../../fetch/response.ts';
import type { FetchHandler, NodeHandler } from '../app.ts';
import { can, type Form, isClass, isObjectLike, isThenable } from '../form.ts';
import { serveFetch } from './fetch.ts';

export const handler: Form = (value) => {
  const handle = functionOf(value);
  if (handle === undefined) return undefined;
  if (handle.length === 1) return serveFetch(handle as unknown as FetchHandler);
  const settle = handle.length === 0 ? respondWith : refuseResult;
  return ({ label }) => ({
    kind: 'handler',
    name: label,
    handle: (request, response) => {
      const result = handle(request, response);
      if (isThenable(result)) return result.then((settled) => settle(settled, response, label));
      return settle(result, response, label);
    },
  });
};

function functionOf(value: unknown): NodeHandler | undefined {
  if (typeof value === 'function') return isClass(value) ? undefined : (value as NodeHandler);
  const name = (['handler', 'handle'] as const).find((method) => can(value, method));
  return name && isObjectLike(value) ? (value[name] as NodeHandler).bind(value) : undefined;
}

/** What a function without declared parameters returned, which may be the whole answer. */
function respondWith(result: unknown, response: ServerResponse, label: string): unknown {
  if (isResponse(result)) return sendResponse(result, response, label);
  if (!response.headersSent && isFactoryProduct(result)) {
    throw new TypeError(
      `${label} returned an app and no answer: it seems to be a factory, so call it: TSUNICORN_APP=path:name()`,
    );
  }
  return undefined;
}

/** A (req, res) handler answers through `res`; that it returned a Response means that it expected a Request. */
function refuseResult(result: unknown, response: ServerResponse, label: string): unknown {
  if (!isResponse(result) || response.headersSent) return undefined;
  throw new TypeError(
    `${label} returned a Response, but declares several parameters and so was called as (req, res). A fetch handler declares one, or is the method of an object: export default { fetch }`,
  );
}

function isFactoryProduct(result: unknown): boolean {
  return typeof result === 'function' || can(result, 'fetch') || can(result, 'use') || can(result, 'listen', 'emit');
}
