/** The files of the live page, read for each request to keep the arbiter's memory small. */
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readFile } from '../platform/node-fs.ts';

const DIRECTORY = fileURLToPath(new URL('./page/', import.meta.url));

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/**
 * The page loads from this server only, connects to no other, and never turns text into markup.
 * https://www.w3.org/TR/CSP3/, https://www.w3.org/TR/trusted-types/
 */
export const PAGE_HEADERS: Readonly<Record<string, string>> = {
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
    "require-trusted-types-for 'script'; trusted-types 'none'",
  'Referrer-Policy': 'no-referrer',
};

export async function pageFile(path: string): Promise<{ type: string; body: string } | undefined> {
  // No dot, slash or percent sign in a name can lead out of the directory.
  const name = path === '/' ? 'page.html' : /^\/page\/([a-z]+\.(?:css|js|svg))$/.exec(path)?.[1];
  if (name === undefined) return undefined;
  try {
    return { type: TYPES[extname(name)] ?? '', body: await readFile(DIRECTORY + name) };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
