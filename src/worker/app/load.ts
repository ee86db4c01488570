/** Finds the app, imports it, and gives it one shape. */
import { pathToFileURL } from 'node:url';
import { AppLoadError } from '../../errors.ts';
import { WELCOME_APP } from '../../messages.ts';
import type { App } from './app.ts';
import { type Module, pick } from './export.ts';
import type { ServeContext } from './form.ts';
import { importFailure } from './import-failure.ts';
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

async function importModule(file: string): Promise<Module> {
  try {
    return await import(pathToFileURL(file).href);
  } catch (error) {
    throw importFailure(error, file);
  }
}

async function callFactory(factory: unknown, label: string): Promise<unknown> {
  if (typeof factory !== 'function')
    throw new AppLoadError(`${label} is not a function, so ${label}() cannot be called`);
  return await factory();
}
