/** Which of the forms of an app a value is, by what it can do and never by whose it is. */
import type { Server } from 'node:http';
import { AppLoadError } from '../../errors.ts';
import type { App, NodeHandler } from './app.ts';

export type Properties = Readonly<Record<string, unknown>>;

export function shape(value: unknown, label: string): App {
  if (isServer(value)) {
    if (!value.listening) return { kind: 'server', name: label, server: value };
    throw new AppLoadError(`${label} is a server that listens already; export it without calling listen()`);
  }
  const handle = nodeHandlerOf(value);
  if (handle) return { kind: 'handler', name: label, handle };
  throw new AppLoadError(
    `${label} is ${describe(value)}, which is no app. An app is a (req, res) function, an Express or Connect app, an object with a handler, or an http.Server that is not listening`,
  );
}

/** Recognised by what it can do: the app may bring a server class of its own. */
function isServer(value: unknown): value is Server {
  return (
    isObjectLike(value) &&
    typeof value.listen === 'function' &&
    typeof value.emit === 'function' &&
    'maxHeadersCount' in value
  );
}

export function nodeHandlerOf(value: unknown): NodeHandler | undefined {
  if (typeof value === 'function') {
    const isClass = /^class\b/.test(Function.prototype.toString.call(value));
    return isClass ? undefined : (value as NodeHandler);
  }
  if (!isObjectLike(value)) return undefined;
  const method = ['handler', 'handle'].find((name) => typeof value[name] === 'function');
  return method === undefined ? undefined : (value[method] as NodeHandler).bind(value);
}

function describe(value: unknown): string {
  if (typeof value === 'function') return 'a class';
  if (value === null || typeof value !== 'object') return String(value);
  return `an object with ${Object.keys(value).join(', ') || 'nothing in it'}`;
}

export function isObjectLike(value: unknown): value is Properties {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}
