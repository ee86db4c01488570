/** What went wrong where a module cannot be imported, and the cure. */
import { dirname, extname, join, relative, resolve } from 'node:path';
import { AppLoadError } from '../../errors.ts';
import { existsSync, readFileSync } from '../../platform/node-fs.ts';
import { findFile } from './reference.ts';

/** Codes of failures that come again however often it is tried. */
const HOPELESS = [
  'ERR_MODULE_NOT_FOUND',
  'MODULE_NOT_FOUND',
  'ERR_UNSUPPORTED_DIR_IMPORT',
  'ERR_UNKNOWN_FILE_EXTENSION',
  'ERR_PACKAGE_PATH_NOT_EXPORTED',
  'ERR_PACKAGE_IMPORT_NOT_DEFINED',
  'ERR_IMPORT_ATTRIBUTE_MISSING',
  'ERR_UNSUPPORTED_NODE_MODULES_TYPE_STRIPPING',
];
const TYPESCRIPT = ['ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX', 'ERR_INVALID_TYPESCRIPT_SYNTAX'];
const COMPILE =
  'Compile it first (tsc), let a loader do it (TSUNICORN_NODE_OPTIONS=--import=tsx, with the package tsx installed), or write it without enums, namespaces, parameter properties and decorators';

/** AppLoadError where trying again cannot help, otherwise `error` as it is: what the app threw while it ran. */
export function importFailure(error: unknown, file: string): unknown {
  if (!(error instanceof Error)) return error;
  const { code = '', message } = error as NodeJS.ErrnoException;
  const [reason = ''] = message.split('\n'); // without the require stack
  if (TYPESCRIPT.includes(code)) {
    const where = /^(?:file:\/\/)?(\/.*:\d+)$/m.exec(error.stack ?? '')?.[1] ?? file;
    return new AppLoadError(
      `${where}: Node.js runs TypeScript by leaving out the types, and this needs more than that: ${reason}. ${COMPILE}`,
      { cause: error },
    );
  }
  if (!isCompileError(error) && !HOPELESS.includes(String(code))) return error;
  const cure = cureOf(String(code), message, file);
  return new AppLoadError(`${file} cannot be imported: ${reason}${cure === undefined ? '' : `. ${cure}`}`, {
    cause: error,
  });
}

/** A SyntaxError of the loader, and not one that the app met while it ran, as JSON.parse() throws it. */
function isCompileError(error: Error): boolean {
  const firstFrame = /^ +at .*$/m.exec(error.stack ?? '')?.[0] ?? '';
  return error instanceof SyntaxError && (firstFrame === '' || firstFrame.includes('node:internal/'));
}

function cureOf(code: string, message: string, file: string): string | undefined {
  const isTypeScript = /\.[mc]?ts$/.test(file);
  switch (code) {
    case 'ERR_MODULE_NOT_FOUND':
    case 'MODULE_NOT_FOUND':
    case 'ERR_UNSUPPORTED_DIR_IMPORT':
      return cureOfMissing(message, file);
    case 'ERR_UNKNOWN_FILE_EXTENSION':
      return /\.[jt]sx"/.test(message) ? 'JSX has to be compiled first' : undefined;
    case 'ERR_UNSUPPORTED_NODE_MODULES_TYPE_STRIPPING':
      return 'Node.js strips no types below node_modules: the package has to ship JavaScript';
    case '':
      if (isTypeScript && message.includes('does not provide an export named')) {
        return 'Where it is a type, import it with `import type`: Node.js leaves out nothing else';
      }
      // Node.js leaves decorators in, and V8 does not know them.
      return isTypeScript && message === 'Invalid or unexpected token'
        ? `If there is a decorator: Node.js cannot run it. ${COMPILE}`
        : undefined;
    default:
      return undefined;
  }
}

/** `Cannot find module '/app/b' imported from /app/a.ts`, `Cannot find package 'b' …`, CommonJS with a require stack. */
function cureOfMissing(message: string, file: string): string | undefined {
  const [, specifier = ''] = /(?:module|package|import) '([^']+)'/.exec(message) ?? [];
  const importer = / imported from (\/.*)$/m.exec(message)?.[1] ?? /^- (\/.*)$/m.exec(message)?.[1] ?? file;
  const directory = dirname(importer);
  if (specifier.startsWith('/') || specifier.startsWith('.')) {
    const target = resolve(directory, specifier);
    // `./b` and, as tsc wants it for what it compiles, `./b.js`, where there is only b.ts.
    const found = findFile(target) ?? findFile(target.slice(0, target.length - extname(target).length));
    if (found === undefined) return undefined;
    return `There is ${found}: Node.js takes paths as they are written, so import ${relativePath(directory, found)} (tsc can rewrite it: rewriteRelativeImportExtensions), or run the compiled JavaScript`;
  }
  const tsconfig = aliasing(specifier, directory);
  if (tsconfig !== undefined) {
    return `It is an alias in ${tsconfig}, which only the compiler knows: use "imports" of package.json with names like #lib/*, or a loader (TSUNICORN_NODE_OPTIONS=--import=tsx, with the package tsx installed)`;
  }
  return 'Is it among the dependencies of package.json, and are they installed (npm ci)?';
}

function relativePath(from: string, to: string): string {
  const path = relative(from, to);
  return path.startsWith('.') ? path : `./${path}`;
}

/** The nearest tsconfig.json, where `specifier` is one of its `paths`. It may have comments, so it is searched as text. */
function aliasing(specifier: string, directory: string): string | undefined {
  const path = join(directory, 'tsconfig.json');
  if (existsSync(path)) {
    const keys = [...readFileSync(path, 'utf8').matchAll(/"([^"\n]+)"\s*:\s*\[/g)].map(([, key = '']) => key);
    const isAlias = keys.some((key) =>
      key.endsWith('*') ? specifier.startsWith(key.slice(0, -1)) && key !== '*' : specifier === key,
    );
    return isAlias ? path : undefined;
  }
  const parent = dirname(directory);
  return parent === directory ? undefined : aliasing(specifier, parent);
}
