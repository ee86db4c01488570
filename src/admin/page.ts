/** The files of the live page. They are read when somebody looks, and not kept: the arbiter's memory is small. */
import { fileURLToPath } from 'node:url';
import { readFile } from '../platform/node-fs.ts';

const DIRECTORY = fileURLToPath(new URL('./page/', import.meta.url));

/** What `/` is, in the form of a match. */
const HTML = ['/', 'page', 'html'];

const TYPES: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
};

/**
 * The page runs what this server sends and nothing else, talks to nobody else, and never turns text into markup.
 * https://www.w3.org/TR/CSP3/, https://www.w3.org/TR/trusted-types/
 */
export const PAGE_HEADERS: Readonly<Record<string, string>> = {
  'Content-Security-Policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; '),
  'Referrer-Policy': 'no-referrer',
};

/** undefined where the path is none of the page's. */
export async function pageFile(path: string): Promise<{ type: string; body: string } | undefined> {
  // Names as the page's files have them: no dot, slash or percent sign can lead out of the directory.
  const [, name = '', extension = ''] = /^\/page\/([a-z]+)\.(css|js|svg)$/.exec(path) ?? (path === '/' ? HTML : []);
  if (name === '') return undefined;
  try {
    return { type: TYPES[extension] ?? '', body: await readFile(`${DIRECTORY}${name}.${extension}`) };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
