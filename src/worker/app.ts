/** Finds the app, imports it, and gives it one shape. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { basename, extname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { AppLoadError } from '../errors.ts';
import { WELCOME_APP } from '../messages.ts';

export type NodeHandler = (request: IncomingMessage, response: ServerResponse) => unknown;

/** What any supported export comes down to. `name` is for the log. */
export type App =
  | { readonly kind: 'handler'; readonly name: string; readonly handle: NodeHandler }
  | { readonly kind: 'server'; readonly name: string; readonly server: Server };

const EXTENSIONS = ['.js', '.mjs', '.cjs', '.ts', '.mts', '.cts'];
const CANDIDATES = ['dist/app', 'dist/server', 'dist/index', 'app', 'server', 'index'];
/** Tried in this order where `TSUNICORN_APP` names no export. */
const EXPORTS = ['default', 'app', 'handler', 'server'];

/** `path`, `path:export` or `path:factory()`. */
interface AppReference {
  readonly file: string;
  readonly exportName: string | undefined;
  readonly isFactory: boolean;
}

/** Loads `reference`, or what is found in `directory`, or the welcome app. Throws AppLoadError, or what the app threw. */
export async function loadApp(reference: string | undefined, directory: string): Promise<App> {
  const found = reference === undefined ? discover(directory) : parseReference(reference, directory);
  if (!found) {
    const { welcome } = await import('./welcome.ts');
    return { kind: 'handler', name: WELCOME_APP, handle: welcome };
  }
  const module = await importModule(found.file);
  const { value, label } = pick(module, found);
  const exported = found.isFactory ? await callFactory(value, label) : await value;
  return shape(exported, label);
}

/** The app that `directory` holds by convention; undefined where there is none. */
export function discover(directory: string): AppReference | undefined {
  const main = mainOf(directory);
  const paths = main === undefined ? CANDIDATES : [main, ...CANDIDATES];
  for (const path of paths) {
    const file = findFile(resolve(directory, path));
    if (file) return { file, exportName: undefined, isFactory: false };
  }
  return undefined;
}

function mainOf(directory: string): string | undefined {
  try {
    const { main } = JSON.parse(readFileSync(resolve(directory, 'package.json'), 'utf8'));
    return typeof main === 'string' && main !== '' ? main : undefined;
  } catch {
    return undefined;
  }
}

export function parseReference(reference: string, directory: string): AppReference {
  const [, path = '', name, call] = /^(.*?)(?::([\p{ID_Start}$_][\p{ID_Continue}$]*)?(\(\))?)?$/u.exec(reference) ?? [];
  const file = findFile(resolve(directory, path));
  if (path === '' || file === undefined) {
    const hint = extname(path) === '' ? ` with one of the endings ${EXTENSIONS.join(' ')}` : '';
    throw new AppLoadError(
      `TSUNICORN_APP=${reference}: there is no file ${resolve(directory, path)}${hint}. Give a path relative to ${directory}, as in dist/app.js or dist/app.js:handler`,
    );
  }
  if (!EXTENSIONS.includes(extname(file))) {
    throw new AppLoadError(
      `TSUNICORN_APP=${reference}: ${basename(file)} is not a module; it has to end in one of ${EXTENSIONS.join(' ')}`,
    );
  }
  return { file, exportName: name, isFactory: call !== undefined };
}

function findFile(path: string): string | undefined {
  const paths = [path, ...EXTENSIONS.map((e) => path + e), ...EXTENSIONS.map((e) => resolve(path, `index${e}`))];
  return paths.find((p) => existsSync(p) && statSync(p).isFile());
}

type Module = Readonly<Record<string, unknown>>;

/** Codes of failures that come again however often it is tried. */
const HOPELESS = [
  'ERR_MODULE_NOT_FOUND',
  'MODULE_NOT_FOUND',
  'ERR_UNSUPPORTED_DIR_IMPORT',
  'ERR_UNKNOWN_FILE_EXTENSION',
  'ERR_PACKAGE_PATH_NOT_EXPORTED',
  'ERR_IMPORT_ATTRIBUTE_MISSING',
  'ERR_UNSUPPORTED_NODE_MODULES_TYPE_STRIPPING',
];
const TYPESCRIPT = ['ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX', 'ERR_INVALID_TYPESCRIPT_SYNTAX'];

async function importModule(file: string): Promise<Module> {
  try {
    return await import(pathToFileURL(file).href);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const { code = '', message } = error as NodeJS.ErrnoException;
    if (TYPESCRIPT.includes(code)) {
      throw new AppLoadError(
        `${file}: Node.js runs TypeScript by leaving out the types, and this needs more than that: ${message}. Compile it first (tsc), or write it without enums, namespaces, parameter properties and decorators`,
        { cause: error },
      );
    }
    if (isCompileError(error) || HOPELESS.includes(code)) {
      throw new AppLoadError(`${file} cannot be imported: ${message}`, { cause: error });
    }
    throw error;
  }
}

/** A SyntaxError of the loader, and not one that the app met while it ran, as JSON.parse() throws it. */
function isCompileError(error: Error): boolean {
  const firstFrame = /^ +at .*$/m.exec(error.stack ?? '')?.[0] ?? '';
  return error instanceof SyntaxError && (firstFrame === '' || firstFrame.includes('node:internal/'));
}

/** The export that was named, or the first that is there by convention. */
function pick(module: Module, { file, exportName }: AppReference): { value: unknown; label: string } {
  const name = basename(file);
  // A CommonJS module's own exports are all under `default`.
  const commonJs = module.default as Module | undefined;
  const lookup = (key: string): unknown =>
    key === 'default' && own(commonJs, '__esModule') ? own(commonJs, key) : (module[key] ?? own(commonJs, key));
  if (exportName !== undefined) {
    const value = lookup(exportName);
    if (value !== undefined) return { value, label: `${name}:${exportName}` };
    throw new AppLoadError(`${file} has no export named ${exportName}; it has ${listed(module)}`);
  }
  for (const scope of scopes(module)) {
    const key = EXPORTS.find((k) => own(scope, k) !== undefined);
    if (key !== undefined) return { value: scope[key], label: key === 'default' ? name : `${name}:${key}` };
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
  const others = EXPORTS.filter((name) => name !== 'handler' && own(around, name) !== undefined);
  if (nodeHandlerOf(around) !== undefined && others.length === 0) return [module]; // its `handler` is its own
  return [around, { ...module, default: undefined }, module];
}

function own(value: unknown, key: string): unknown {
  return isObjectLike(value) && Object.hasOwn(value, key) ? value[key] : undefined;
}

function isObjectLike(value: unknown): value is Module {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}

function listed(module: Module): string {
  return Object.keys(module).join(', ') || 'no exports';
}

async function callFactory(factory: unknown, label: string): Promise<unknown> {
  if (typeof factory !== 'function')
    throw new AppLoadError(`${label} is not a function, so ${label}() cannot be called`);
  return await factory();
}

function shape(value: unknown, label: string): App {
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

function nodeHandlerOf(value: unknown): NodeHandler | undefined {
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
