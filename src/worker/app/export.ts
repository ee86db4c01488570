/** Which export of a module is the app. */
import { basename } from 'node:path';
import { AppLoadError } from '../../errors.ts';
import { isObjectLike, type Properties } from './form.ts';
import type { AppReference } from './reference.ts';
import { isApp, isInstance } from './shape.ts';

export type Module = Properties;

/** Tried in this order where `TSUNICORN_APP` names no export. */
const EXPORTS = ['default', 'app', 'handler', 'server', 'fetch'];
/** Names of which an app may have methods itself. */
const METHODS = ['handler', 'fetch'];

/** The export that was named, or the first that is there by convention. */
export function pick(module: Module, { file, exportName }: AppReference): { value: unknown; label: string } {
  const name = basename(file);
  // A CommonJS module's own exports are all under `default`.
  const commonJs = module.default as Module | undefined;
  const lookup = (key: string): unknown =>
    key === 'default' && own(commonJs, '__esModule') ? own(commonJs, key) : (module[key] ?? own(commonJs, key));
  if (exportName !== undefined) {
    const value = lookup(exportName);
    if (value !== undefined) return { value: meant(exportName, value), label: `${name}:${exportName}` };
    throw new AppLoadError(`${file} has no export named ${exportName}; it has ${listed(module)}`);
  }
  for (const scope of scopes(module)) {
    const key = EXPORTS.find((k) => own(scope, k) !== undefined);
    if (key !== undefined) return { value: meant(key, scope[key]), label: key === 'default' ? name : `${name}:${key}` };
  }
  throw new AppLoadError(
    `${file} exports no app: tsunicorn looks for ${EXPORTS.join(', ')} and found ${listed(module)}. Export the app, or name the export: TSUNICORN_APP=${name}:name`,
  );
}

/**
 * Where to look, in this order. A default that is a mere object is not the app but what is around it
 * (`module.exports = { app }`, a module compiled to CommonJS), or something else beside it (`export default { port }`).
 */
function scopes(module: Module): Module[] {
  const around = module.default;
  if (!isObjectLike(around) || Object.getPrototypeOf(around) !== Object.prototype) return [module];
  if (isInstance(around)) return [module];
  const isContainer = EXPORTS.some((name) => !METHODS.includes(name) && own(around, name) !== undefined);
  if (!isContainer && isApp(around)) return [module]; // its `handler` or `fetch` is its own
  return [around, { ...module, default: undefined }, module];
}

/** A function that is exported as `fetch` is a fetch handler, whatever parameters it declares. */
function meant(name: string, value: unknown): unknown {
  return name === 'fetch' && typeof value === 'function' ? { fetch: value } : value;
}

function own(value: unknown, key: string): unknown {
  return isObjectLike(value) && Object.hasOwn(value, key) ? value[key] : undefined;
}

function listed(module: Module): string {
  return Object.keys(module).join(', ') || 'no exports';
}
