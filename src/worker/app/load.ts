/** Finds the app, imports it, and gives it one shape. */
import { pathToFileURL } from 'node:url';
import { AppLoadError } from '../../errors.ts';
import { WELCOME_APP } from '../../messages.ts';
import type { App } from './app.ts';
import { type Module, pick } from './export.ts';
import type { ServeContext } from './form.ts';
import { discover, parseReference } from './reference.ts';
import { shape } from './shape.ts';

/** What the app's form may need, and who wants to know what is waited for. */
export type LoadOptions = Omit<ServeContext, 'label'>;

/** Loads `reference`, or what is found in `directory`, or the welcome app. Throws AppLoadError, or what the app threw. */
export async function loadApp(reference: string | undefined, directory: string, options: LoadOptions): Promise<App> {
  const found = reference === undefined ? discover(directory) : parseReference(reference, directory);
  if (!found) {
    const { welcome } = await import('../welcome.ts');
    return { kind: 'handler', name: WELCOME_APP, handle: welcome };
  }
  options.waitingFor(`the import of ${found.file}`);
  const module = await importModule(found.file);
  const { value, label } = pick(module, found);
  options.waitingFor(found.isFactory ? `the factory ${label}()` : `the promise ${label}`);
  const exported = found.isFactory ? await callFactory(value, label) : await value;
  return await shape(exported, label)({ ...options, label });
}

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

async function callFactory(factory: unknown, label: string): Promise<unknown> {
  if (typeof factory !== 'function')
    throw new AppLoadError(`${label} is not a function, so ${label}() cannot be called`);
  return await factory();
}
