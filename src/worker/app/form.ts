/** What a form of an app is to the rest: something that recognises it, and something that serves it. */
import type { App } from './app.ts';

/** What serving an app may need. */
export interface ServeContext {
  /** The app's name in logs and messages. */
  readonly label: string;
  /** Says what is waited for, in case that it never comes. */
  readonly waitingFor: (what: string) => void;
}

export type Serve = (context: ServeContext) => App | Promise<App>;

/** How to serve `value`; undefined where it has not this form. Goes by what it can do, never by whose it is. */
export type Form = (value: unknown) => Serve | undefined;

export type Properties = Readonly<Record<string, unknown>>;

export function isObjectLike(value: unknown): value is Properties {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}

/** Whether `value` has methods of all these names. */
export function can<Name extends string>(
  value: unknown,
  ...names: readonly Name[]
): value is Properties & Readonly<Record<Name, (...args: unknown[]) => unknown>> {
  return isObjectLike(value) && names.every((name) => typeof value[name] === 'function');
}

export function isClass(value: unknown): boolean {
  return typeof value === 'function' && /^class\b/.test(Function.prototype.toString.call(value));
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function';
}
