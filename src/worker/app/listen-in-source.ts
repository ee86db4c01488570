/** Whether a program may call `listen()` yet, as far as the text of its own files tells. */
import { basename, dirname, extname, resolve } from 'node:path';
import { readFileSync } from '../../platform/node-fs.ts';
import { findFile } from './reference.ts';

/** `listen()`, and how it is called for the program: `serve()` of Hono, `startStandaloneServer()` of Apollo. */
const CALL = /(?<!function\s+)\b(listen|serve|start\w*Server)\s*\(/;
const COMMENTS = /\/\*[\s\S]*?\*\/|(?<![:"'`\\])\/\/.*$/gm;
/** What a file imports or requires by a relative path. */
const RELATIVE = /\b(?:from|import|require)\s*\(?\s*["'](\.\.?\/[^"'\n]+)["']/g;
/** More has no program of its own, but what a bundler put together. */
const MOST_FILES = 500;
const MOST_BYTES = 4 * 1024 * 1024;

/** The name of the file that calls `listen()`: `main`, or one that it imports, outside of packages; undefined if none does. */
export function fileThatListens(main: string): string | undefined {
  const files = new Set([main]);
  let bytes = 0;
  for (const file of files) {
    const text = textOf(file);
    bytes += text.length;
    if (CALL.test(text)) return basename(file);
    if (bytes > MOST_BYTES) return undefined;
    for (const [, path = ''] of text.matchAll(RELATIVE)) {
      const target = resolve(dirname(file), path);
      // `./b.js` may be b.ts, as tsc wants it.
      const found = findFile(target) ?? findFile(target.slice(0, target.length - extname(target).length));
      if (found !== undefined && files.size < MOST_FILES) files.add(found);
    }
  }
  return undefined;
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8').replace(COMMENTS, '');
  } catch {
    return '';
  }
}
