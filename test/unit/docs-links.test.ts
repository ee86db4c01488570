/** Links between the documents lead somewhere. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path/posix';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

const markdownIn = (directory: string): string[] =>
  readdirSync(join(ROOT, directory), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md') && !name.includes('node_modules/'))
    .map((name) => join(directory, name));

const DOCS = markdownIn('docs');
const DOCUMENTS = [
  'README.md',
  'CHANGELOG.md',
  'CONTRIBUTING.md',
  ...DOCS,
  ...['bench', 'examples'].flatMap(markdownIn),
];

/** Without blocks of code. */
const proseOf = (document: string): string =>
  readFileSync(join(ROOT, document), 'utf8').replaceAll(/^```[\s\S]*?^```/gm, '');

/** Targets of relative links, also of pictures. */
const linksOf = (document: string): string[] =>
  [...proseOf(document).matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target = '']) => target)
    .filter((target) => !/^[a-z]+:/.test(target));

/** As GitHub makes them of headings: lower case, no punctuation, spaces become hyphens. */
const anchorsOf = (document: string): string[] =>
  [...proseOf(document).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );

describe('every relative link has a target, and its anchor a heading', () => {
  for (const document of DOCUMENTS) {
    test(document, () => {
      for (const link of linksOf(document)) {
        const [path = '', anchor] = link.split('#');
        const target = path === '' ? document : join(dirname(document), path);
        assert.ok(existsSync(join(ROOT, target)), `${link}: there is no ${target}`);
        if (anchor !== undefined) assert.ok(anchorsOf(target).includes(anchor), `${link}: no such heading`);
      }
    });
  }
});

test('the README leads to every document', () => {
  const linked = new Set(linksOf('README.md'));
  const pages = DOCS.filter((document) => dirname(document) === 'docs');
  assert.ok(pages.length > 0);
  assert.deepEqual(
    pages.filter((page) => !linked.has(page)),
    [],
  );
});
