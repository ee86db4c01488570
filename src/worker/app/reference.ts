/** Which file `TSUNICORN_APP` names, or which one is the app by convention. */
import { basename, extname, resolve } from 'node:path';
import { AppLoadError } from '../../errors.ts';
import { existsSync, readFileSync, statSync } from '../../platform/node-fs.ts';

const EXTENSIONS = ['.js', '.mjs', '.cjs', '.ts', '.mts', '.cts'];
const CANDIDATES = ['dist/app', 'dist/server', 'dist/index', 'app', 'server', 'index'];

/** `path`, `path:export` or `path:factory()`. */
export interface AppReference {
  readonly file: string;
  readonly exportName: string | undefined;
  readonly isFactory: boolean;
}

/** The app in `directory` by convention; undefined if there is none. */
export function discover(directory: string): AppReference | undefined {
  for (const path of [...mainOf(directory), ...CANDIDATES]) {
    const file = findFile(resolve(directory, path));
    if (file) return { file, exportName: undefined, isFactory: false };
  }
  return undefined;
}

function mainOf(directory: string): string[] {
  try {
    const { main } = JSON.parse(readFileSync(resolve(directory, 'package.json'), 'utf8'));
    return typeof main === 'string' && main !== '' ? [main] : [];
  } catch {
    return [];
  }
}

export function parseReference(reference: string, directory: string): AppReference {
  const [, path = '', name, call] = /^(.*?)(?::([\p{ID_Start}$_][\p{ID_Continue}$]*)?(\(\))?)?$/u.exec(reference) ?? [];
  const file = findFile(resolve(directory, path));
  if (path === '' || file === undefined) {
    const hint = extname(path) === '' ? ` with any of the extensions ${EXTENSIONS.join(' ')}` : '';
    throw new AppLoadError(
      `TSUNICORN_APP=${reference}: there is no file ${resolve(directory, path)}${hint}. Give a path relative to ${directory}, such as dist/app.js or dist/app.js:handler`,
    );
  }
  if (!EXTENSIONS.includes(extname(file))) {
    const cure = /\.[jt]sx$/.test(file) ? '. Compile JSX first' : '';
    throw new AppLoadError(
      `TSUNICORN_APP=${reference}: ${basename(file)} is not a module; its extension must be one of ${EXTENSIONS.join(' ')}${cure}`,
    );
  }
  return { file, exportName: name, isFactory: call !== undefined };
}

/** The file at `path`, with or without its extension, or the index of a directory. */
export function findFile(path: string): string | undefined {
  const paths = [path, ...EXTENSIONS.map((e) => path + e), ...EXTENSIONS.map((e) => resolve(path, `index${e}`))];
  return paths.find((p) => existsSync(p) && statSync(p).isFile());
}
