/** The app's optional `onStartup()` and `onShutdown()`. */
import { AppLoadError } from '../../errors.ts';
import type { Properties } from './form.ts';

type Hook = () => unknown;

export interface Hooks {
  /** Awaited before the worker is ready. */
  readonly onStartup: Hook | undefined;
  /** Called when the drain begins, and awaited before the worker ends. */
  readonly onShutdown: Hook | undefined;
}

export const NO_HOOKS: Hooks = { onStartup: undefined, onShutdown: undefined };

/** Exports by these names, or properties of what a CommonJS module exports. Throws AppLoadError for what is no function. */
export function hooksOf(module: Properties): Hooks {
  return { onStartup: hookOf(module, 'onStartup'), onShutdown: hookOf(module, 'onShutdown') };
}

function hookOf(module: Properties, name: keyof Hooks): Hook | undefined {
  const owner = [module, module.default].find((scope) => isObject(scope) && scope[name] !== undefined);
  if (!isObject(owner)) return undefined;
  const hook = owner[name];
  if (typeof hook === 'function') return () => hook.call(owner === module ? undefined : owner);
  throw new AppLoadError(`the app exports ${name}, which is no function: tsunicorn calls it. Rename what it is`);
}

function isObject(value: unknown): value is Properties {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}
