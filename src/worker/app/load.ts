/** Finds the app, imports it, and gives it one shape. */
import { basename } from 'node:path';
import { pathToFileURL } from 'node:url';
import { AppLoadError } from '../../errors.ts';
import { WELCOME_APP } from '../../messages.ts';
import type { App } from './app.ts';
import { type Module, pick } from './export.ts';
import type { ServeContext } from './form.ts';
import { importFailure } from './import-failure.ts';
import type { Program } from './program.ts';
import { type AppReference, discover, parseReference } from './reference.ts';
import { shape } from './shape.ts';

/** What the app's form may need, and who wants to know what is waited for. */
export interface LoadOptions extends Omit<ServeContext, 'label'> {
  /** For apps that are programs of their own. */
  readonly program?: Program;
}

/** Loads `reference`, or what is found in `directory`, or the welcome app. Throws AppLoadError, or what the app threw. */
export async function loadApp(reference: string | undefined, directory: string, options: LoadOptions): Promise<App> {
  const found = reference === undefined ? discover(directory) : parseReference(reference, directory);
  if (!found) {
    const { welcome } = await import('./welcome.ts');
    return { kind: 'handler', name: WELCOME_APP, handle: welcome };
  }
  const { program, waitingFor } = options;
  waitingFor(`the import of ${found.file}`);
  const module = await (program && !isNamed(found) ? importProgram(found.file, program) : importModule(found.file));
  if (module) {
    await program?.imported(module);
    const app = await exportedApp(module, found, options);
    if (!(app instanceof AppLoadError)) return app;
    if (!program || (isNamed(found) && !found.isFactory)) throw app;
    waitingFor(`listen() by ${basename(found.file)}, which exports no app,`);
    await program.listensInstead(app);
  }
  const app = ownApp(undefined, found, program);
  if (!app) throw new AppLoadError(`${found.file} has closed its server before it could be served`);
  return app;
}

/** The app that `module` exports, its own server before that, or why there is none. */
async function exportedApp(module: Module, found: AppReference, options: LoadOptions): Promise<App | AppLoadError> {
  const { program, waitingFor } = options;
  const picked = orProblem(() => pick(module, found));
  if (picked instanceof AppLoadError) return picked;
  const { value, label } = picked;
  waitingFor(found.isFactory ? `the factory ${label}()` : `the promise ${label}`);
  const exported = found.isFactory ? await callFactory(value, label) : await value;
  const own = ownApp(exported, found, program);
  if (own) return own;
  const serve = orProblem(() => shape(exported, label));
  if (serve instanceof AppLoadError) return serve;
  try {
    return await serve({ ...options, label });
  } catch (error) {
    const late = ownApp(exported, found, program); // it has called listen() meanwhile
    if (error instanceof AppLoadError && late) return late;
    throw error;
  }
}

/** The server on which the program itself called `listen()`. */
function ownApp(exported: unknown, found: AppReference, program: Program | undefined): App | undefined {
  const own = program?.ownServer(exported, isNamed(found));
  return own && { kind: 'server', name: `${basename(found.file)} (listens on ${own.asked})`, server: own.server };
}

function isNamed({ exportName, isFactory }: AppReference): boolean {
  return exportName !== undefined || isFactory;
}

function orProblem<T>(find: () => T): T | AppLoadError {
  try {
    return find();
  } catch (error) {
    if (error instanceof AppLoadError) return error;
    throw error;
  }
}

/** undefined where the program listens and its import goes on: what it exports is not known then. */
async function importProgram(file: string, program: Program): Promise<Module | undefined> {
  const importing = importModule(file);
  let goesOn = false;
  const meanwhile = program.listensMeanwhile().then(() => {
    goesOn = true;
    return undefined;
  });
  importing.catch((error: unknown) => {
    const thrown = (): never => {
      throw error;
    };
    if (goesOn) setImmediate(thrown); // nobody waits for it any more: an exception that nobody caught
  });
  return await Promise.race([importing, meanwhile]);
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
