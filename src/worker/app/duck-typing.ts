/** What a value can do. Apps bring classes and copies of packages of their own, so `instanceof` proves nothing. */
import type { Server } from 'node:http';

export type Properties = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is Properties {
  return typeof value === 'object' && value !== null;
}

export function hasProperties(value: unknown): value is Properties {
  return isObject(value) || typeof value === 'function';
}

export function can<Name extends string>(
  value: unknown,
  ...names: readonly Name[]
): value is Properties & Readonly<Record<Name, (...args: unknown[]) => unknown>> {
  return hasProperties(value) && names.every((name) => typeof value[name] === 'function');
}

export function isClass(value: unknown): boolean {
  return typeof value === 'function' && /^class\b/.test(Function.prototype.toString.call(value));
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return isObject(value) && typeof value.then === 'function';
}

export function isHttpServer(value: unknown): value is Server {
  return can(value, 'listen', 'emit') && 'maxHeadersCount' in value;
}

export function isResponse(value: unknown): value is Response {
  return (
    hasProperties(value) &&
    typeof value.status === 'number' &&
    can(value.headers, 'forEach', 'get') &&
    (value.body === null || can(value.body, 'getReader'))
  );
}

/** A value that is no app or Response, for a message. */
export function describe(value: unknown): string {
  if (typeof value === 'function') return isClass(value) ? 'a class' : 'a function';
  return isObject(value) ? `an object with ${Object.keys(value).join(', ') || 'no properties'}` : String(value);
}
