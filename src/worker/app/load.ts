/** Finds the app, imports it, and brings it into one of the two shapes of an {@link App}. */
import type { Server } from 'node:http';
import { basename } from 'node:path';
import { pathToFileURL } from 'node:url';
import { AppLoadError } from '../../errors.ts';
import { WELCOME_APP } from '../../messages.ts';
import type { App } from './app.ts';
import { AppClosing } from './closing.ts';
import type { Properties } from './duck-typing.ts';
import { pick } from './exports.ts';
import { formOf, notAnApp } from './forms.ts';
import { importFailure } from './import-failure.ts';
import { type AppReference, discover, parseReference } from './reference.ts';

/** What the worker adds for modules that do more than export an app. */
export interface Program {
  /** Names what loading waits for now, for the message of the boot timeout. */
  waitingFor(what: string): void;
  /** The module is imported. Loading waits for this. */
  imported(module: Properties): Promise<void>;
  /**
   * The server on which the program called `listen()` itself, if that is to be served instead of what the module
   * exports. `isNamed`: `TSUNICORN_APP` names the export.
   */
  ownServer(exported: unknown, isNamed: boolean): { readonly server: Server; readonly asked: string } | undefined;
  /** Resolves during the import, once the program listens and the import need not be waited for. */
  listensMeanwhile(): Promise<void>;
  /** Waits until the program, which exports the app `label`, listens or is clearly not going to. */
  listensYet(file: string, label: string): Promise<void>;
  /** Waits until the program listens. Throws if it does not; `problem` says why the exports did not do. */
  listensInstead(problem: AppLoadError): Promise<void>;
}

/** Loads `reference`, else what `directory` has, else the welcome app. Throws AppLoadError, or what the app threw. */
export async function loadApp(reference: string | undefined, directory: string, program: Program): Promise<App> {
  const found = reference === undefined ? discover(directory) : parseReference(reference, directory);
  if (!found) {
    const { welcome } = await import('./welcome.ts');
    return { kind: 'handler', name: WELCOME_APP, handle: welcome };
  }
  program.waitingFor(`the import of ${found.file}`);
  const module = await (isNamed(found) ? importModule(found.file) : importProgram(found.file, program));
  if (module) {
    await program.imported(module);
    const app = await exportedApp(module, found, program);
    if (!(app instanceof AppLoadError)) return app;
    if (isNamed(found) && !found.isFactory) throw app;
    program.waitingFor(`listen() by ${basename(found.file)}, which exports no app,`);
    await program.listensInstead(app);
  }
  const app = ownApp(undefined, found, program);
  if (!app) throw new AppLoadError(`${found.file} closed its server before tsunicorn could serve it`);
  return app;
}

/** The program's own server, else the app that `module` exports, else why there is neither. */
async function exportedApp(module: Properties, found: AppReference, program: Program): Promise<App | AppLoadError> {
  const picked = pick(module, found);
  if (picked instanceof AppLoadError) return picked;
  const { value, label } = picked;
  program.waitingFor(found.isFactory ? `the factory ${label}()` : `the promise ${label}`);
  const exported = await (found.isFactory ? callFactory(value, label) : value);
  const own = ownApp(exported, found, program);
  if (own) return own;
  const serve = formOf(exported);
  if (!serve) return notAnApp(exported, label);
  if (!isNamed(found)) {
    await program.listensYet(found.file, label);
    const late = ownApp(exported, found, program);
    if (late) return late;
  }
  try {
    return { ...(await serve(label, program.waitingFor)), closing: AppClosing.of(exported) };
  } catch (error) {
    const late = ownApp(exported, found, program); // it called listen() meanwhile
    if (error instanceof AppLoadError && late) return late;
    throw error;
  }
}

function callFactory(factory: unknown, label: string): unknown {
  if (typeof factory === 'function') return factory();
  throw new AppLoadError(`${label} is not a function, so ${label}() cannot be called`);
}

function ownApp(exported: unknown, found: AppReference, program: Program): App | undefined {
  const own = program.ownServer(exported, isNamed(found));
  const name = `${basename(found.file)} (listens on ${own?.asked})`;
  return own && { kind: 'server', name, server: own.server, closing: AppClosing.of(exported) };
}

function isNamed({ exportName, isFactory }: AppReference): boolean {
  return exportName !== undefined || isFactory;
}

async function importModule(file: string): Promise<Properties> {
  try {
    return await import(pathToFileURL(file).href);
  } catch (error) {
    throw importFailure(error, file);
  }
}

/** Resolves with undefined if the program listens and its import goes on: its exports are not known yet. */
async function importProgram(file: string, program: Program): Promise<Properties | undefined> {
  const importing = importModule(file);
  let goesOn = false;
  const meanwhile = program.listensMeanwhile().then((): undefined => {
    goesOn = true;
  });
  importing.catch((error: unknown) => {
    if (!goesOn) return; // the race below rejects with it
    setImmediate(() => {
      throw error; // as an uncaught exception
    });
  });
  return await Promise.race([importing, meanwhile]);
}
