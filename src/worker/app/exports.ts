/** Which exports of a module are the app and its hooks. */
import { basename } from 'node:path';
import { AppLoadError } from '../../errors.ts';
import { hasProperties, type Properties } from './duck-typing.ts';
import { formOf, INSTANCES } from './forms.ts';
import type { AppReference } from './reference.ts';

/** In this order, where `TSUNICORN_APP` names no export. */
const EXPORTS = ['default', 'app', 'handler', 'server', 'fetch'];
/** Of these, names that an app's own methods may have. */
const METHODS = ['handler', 'fetch'];

type Picked = { readonly value: unknown; readonly label: string };

/** The export that `TSUNICORN_APP` names, or the first of {@link EXPORTS}; or why there is none. */
export function pick(module: Properties, { file, exportName }: AppReference): Picked | AppLoadError {
  const name = basename(file);
  // The exports of a CommonJS module are all under `default`.
  const commonJs = module.default;
  const lookup = (key: string): unknown =>
    key === 'default' && own(commonJs, '__esModule') ? own(commonJs, key) : (module[key] ?? own(commonJs, key));
  if (exportName !== undefined) {
    const value = lookup(exportName);
    if (value !== undefined) return { value: fetchByName(exportName, value), label: `${name}:${exportName}` };
    return new AppLoadError(`${file} has no export named ${exportName}; it has ${listed(module)}`);
  }
  for (const scope of scopes(module)) {
    const key = EXPORTS.find((k) => own(scope, k) !== undefined);
    if (key) return { value: fetchByName(key, scope[key]), label: key === 'default' ? name : `${name}:${key}` };
  }
  return new AppLoadError(
    `${file} exports no app: tsunicorn looks for ${EXPORTS.join(', ')} and found ${listed(module)}. Export the app, or name the export: TSUNICORN_APP=${name}:name`,
  );
}

/**
 * Where to look, in order. A default that is a plain object is not the app but holds it (`module.exports = { app }`, a
 * module compiled to CommonJS), or is something else beside it (`export default { port }`).
 */
function scopes(module: Properties): Properties[] {
  const around = module.default;
  if (!hasProperties(around) || Object.getPrototypeOf(around) !== Object.prototype) return [module];
  const isContainer = EXPORTS.some((name) => !METHODS.includes(name) && own(around, name) !== undefined);
  // Without, its `handler` or `fetch` is its own.
  if (formOf(around, isContainer ? INSTANCES : undefined)) return [module];
  return [around, { ...module, default: undefined }, module];
}

/** A function exported as `fetch` is a fetch handler, whatever parameters it declares. */
function fetchByName(name: string, value: unknown): unknown {
  return name === 'fetch' && typeof value === 'function' ? { fetch: value } : value;
}

function own(value: unknown, key: string): unknown {
  return hasProperties(value) && Object.hasOwn(value, key) ? value[key] : undefined;
}

function listed(module: Properties): string {
  return Object.keys(module).join(', ') || 'no exports';
}

type Hook = () => unknown;

export interface Hooks {
  readonly onStartup: Hook | undefined;
  /** Called when the drain begins, and awaited before the worker ends. */
  readonly onShutdown: Hook | undefined;
}

/** Exports by these names, or properties of what a CommonJS module exports. Throws AppLoadError if not functions. */
export function hooksOf(module: Properties): Hooks {
  return { onStartup: hookOf(module, 'onStartup'), onShutdown: hookOf(module, 'onShutdown') };
}

function hookOf(module: Properties, name: keyof Hooks): Hook | undefined {
  const owner = [module, module.default].find((scope) => hasProperties(scope) && scope[name] !== undefined);
  if (!hasProperties(owner)) return undefined;
  const hook = owner[name];
  if (typeof hook === 'function') return () => hook.call(owner === module ? undefined : owner);
  throw new AppLoadError(`the app exports ${name}, which tsunicorn calls, but it is not a function: rename it`);
}
