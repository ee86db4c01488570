/** Why a module cannot be imported, with the fix. */
import { dirname, extname, join, relative, resolve } from 'node:path';
import { AppLoadError } from '../../errors.ts';
import { existsSync, readFileSync } from '../../platform/node-fs.ts';
import { findFile } from './reference.ts';

const TYPESCRIPT = ['ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX', 'ERR_INVALID_TYPESCRIPT_SYNTAX'];
const LOADER = 'TSUNICORN_NODE_OPTIONS=--import=tsx, with the package tsx installed';
const COMPILE = `Compile it first (tsc), use a loader (${LOADER}), or write it without enums, namespaces, parameter properties and decorators`;

type Cure = (message: string, file: string) => string;
const none: Cure = () => '';

/** The cures of failures that a second try cannot mend, by code. */
const CURES: ReadonlyMap<unknown, Cure> = new Map([
  ['ERR_MODULE_NOT_FOUND', cureOfMissing],
  ['MODULE_NOT_FOUND', cureOfMissing],
  ['ERR_UNSUPPORTED_DIR_IMPORT', cureOfMissing],
  ['ERR_UNKNOWN_FILE_EXTENSION', (message) => (/\.[jt]sx"/.test(message) ? 'Compile JSX first' : '')],
  ['ERR_PACKAGE_PATH_NOT_EXPORTED', none],
  ['ERR_PACKAGE_IMPORT_NOT_DEFINED', none],
  ['ERR_IMPORT_ATTRIBUTE_MISSING', none],
  [
    'ERR_UNSUPPORTED_NODE_MODULES_TYPE_STRIPPING',
    () => 'Node.js does not strip types in node_modules: the package must ship JavaScript',
  ],
]);

/** An AppLoadError if trying again cannot help, else `error` as it is: the app threw it while it ran. */
export function importFailure(error: unknown, file: string): unknown {
  if (!(error instanceof Error)) return error;
  const { code = '', message } = error as NodeJS.ErrnoException;
  const [reason = ''] = message.split('\n'); // without the require stack
  if (TYPESCRIPT.includes(code)) {
    const where = /^(?:file:\/\/)?(\/.*:\d+)$/m.exec(error.stack ?? '')?.[1] ?? file;
    const text = `${where}: Node.js only strips types from TypeScript, and this needs more: ${reason}. ${COMPILE}`;
    return new AppLoadError(text, { cause: error });
  }
  const cureOf = CURES.get(code) ?? (isCompileError(error) ? cureOfSyntax : undefined);
  if (!cureOf) return error;
  const cure = cureOf(message, file);
  return new AppLoadError(`${file} cannot be imported: ${reason}${cure && `. ${cure}`}`, { cause: error });
}

/** A SyntaxError from the loader, not one that the app met while it ran, such as from JSON.parse(). */
function isCompileError(error: Error): boolean {
  const firstFrame = /^ +at .*$/m.exec(error.stack ?? '')?.[0] ?? '';
  return error instanceof SyntaxError && (firstFrame === '' || firstFrame.includes('node:internal/'));
}

function cureOfSyntax(message: string, file: string): string {
  if (!/\.[mc]?ts$/.test(file)) return '';
  if (message.includes('does not provide an export named')) {
    return 'If it is a type, import it with `import type`: Node.js drops no other import';
  }
  // Node.js leaves decorators in, and V8 does not know them.
  return message === 'Invalid or unexpected token'
    ? `If this is a decorator: Node.js does not support them. ${COMPILE}`
    : '';
}

/** `Cannot find module '/app/b' imported from /app/a.ts`, `Cannot find package 'b' …`, CommonJS with a require stack. */
function cureOfMissing(message: string, file: string): string {
  const [, specifier = ''] = /(?:module|package|import) '([^']+)'/.exec(message) ?? [];
  const importer = / imported from (\/.*)$/m.exec(message)?.[1] ?? /^- (\/.*)$/m.exec(message)?.[1] ?? file;
  const directory = dirname(importer);
  if (specifier.startsWith('/') || specifier.startsWith('.')) {
    const target = resolve(directory, specifier);
    // `./b`, or `./b.js` as tsc wants it in what it compiles, where there is only b.ts.
    const found = findFile(target) ?? findFile(target.slice(0, target.length - extname(target).length));
    if (found === undefined) return '';
    const path = relative(directory, found);
    return `There is ${found}: Node.js does not guess extensions, so import ${path.startsWith('.') ? path : `./${path}`} (tsc can rewrite it: rewriteRelativeImportExtensions), or run the compiled JavaScript`;
  }
  const tsconfig = aliasing(specifier, directory);
  if (tsconfig !== undefined) {
    return `It is an alias in ${tsconfig}, which Node.js does not read: use "imports" of package.json with names like #lib/*, or a loader (${LOADER})`;
  }
  return 'Is it in the dependencies of package.json, and are they installed (npm ci)?';
}

/** The nearest tsconfig.json, if `specifier` matches its `paths`. Searched as text, since it may have comments. */
function aliasing(specifier: string, directory: string): string | undefined {
  const path = join(directory, 'tsconfig.json');
  const parent = dirname(directory);
  if (!existsSync(path)) return parent === directory ? undefined : aliasing(specifier, parent);
  const keys = [...readFileSync(path, 'utf8').matchAll(/"([^"\n]+)"\s*:\s*\[/g)].map(([, key = '']) => key);
  const isAlias = keys.some((key) =>
    key.endsWith('*') ? specifier.startsWith(key.slice(0, -1)) && key !== '*' : specifier === key,
  );
  return isAlias ? path : undefined;
}
