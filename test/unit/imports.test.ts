/** What the modules of src/ may import, and what their types may be called. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

const SRC = new URL('../../src/', import.meta.url);
const sources = new Map(
  readdirSync(SRC, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => [name, readFileSync(new URL(name, SRC), 'utf8')]),
);

/** Imports run down this list. */
const ROOMS = 'main commands arbiter worker admin observe messages sizing config platform errors'.split(' ');
/** Any room may import these. `public` is what apps import. */
const ROOT_HELPERS = ['public', 'version', 'context-hook', 'worker-hook'];

const roomOf = (file: string): string => file.split('/')[0]?.replace(/\.ts$/, '') ?? '';

/** The modules of src/ that `file` imports: statically, dynamically, for a type, or to re-export. */
function importsOf(file: string, source: string): string[] {
  const from = new URL(file, SRC);
  return [...source.matchAll(/\b(?:from|import)\s*\(?\s*'(\.[^']+)'/g)].map(([, path = '']) =>
    new URL(path, from).pathname.slice(SRC.pathname.length),
  );
}

function runsUp(file: string, imported: string): boolean {
  const [from, to] = [roomOf(file), roomOf(imported)];
  if (ROOT_HELPERS.includes(to)) return false;
  // A helper that any room may import can only import the lowest rooms itself.
  if (ROOT_HELPERS.includes(from)) return from !== 'public' && to !== 'platform';
  return ROOMS.indexOf(to) < ROOMS.indexOf(from);
}

/** The rooms, or files, whose imports lead back to themselves. */
function cycles(edges: ReadonlyMap<string, ReadonlySet<string>>): string[] {
  const reaches = (from: string, to: string, seen = new Set<string>()): boolean =>
    [...(edges.get(from) ?? [])].some((next) => {
      if (next === to) return true;
      if (seen.has(next)) return false;
      seen.add(next);
      return reaches(next, to, seen);
    });
  return [...edges.keys()].filter((start) => reaches(start, start));
}

const fileEdges = (files: ReadonlyMap<string, string>): Map<string, Set<string>> =>
  new Map([...files].map(([file, source]) => [file, new Set(importsOf(file, source))]));

function roomEdges(files: ReadonlyMap<string, string>): Map<string, Set<string>> {
  const edges = new Map<string, Set<string>>();
  for (const [file, source] of files) {
    for (const imported of importsOf(file, source)) {
      const [from, to] = [roomOf(file), roomOf(imported)];
      if (from !== to) edges.set(from, (edges.get(from) ?? new Set()).add(to));
    }
  }
  return edges;
}

const typeNames = (source: string): string[] =>
  [...source.matchAll(/^(?:export )?(?:abstract )?(?:class|interface|type) (\w+)/gm)].map(([, name = '']) => name);

test('every module of src/ is in a room that has its place in the order', () => {
  assert.deepEqual(new Set([...sources.keys()].map(roomOf)), new Set([...ROOMS, ...ROOT_HELPERS]));
});

test('no import runs up, not even one of a type', () => {
  const up = [...sources].flatMap(([file, source]) =>
    importsOf(file, source)
      .filter((imported) => runsUp(file, imported))
      .map((imported) => `${file} → ${imported}`),
  );
  assert.deepEqual(up, []);
});

test('no room imports itself through another', () => {
  assert.deepEqual(cycles(roomEdges(sources)), []);
});

test('no file imports itself through another, not even a type', () => {
  assert.deepEqual(cycles(fileEdges(sources)), []);
});

test('no name of a type is declared twice', () => {
  const files = new Map<string, string[]>();
  for (const [file, source] of sources) {
    for (const name of typeNames(source)) files.set(name, [...(files.get(name) ?? []), file]);
  }
  assert.deepEqual(
    [...files].filter(([, declared]) => declared.length > 1),
    [],
  );
});

test('an import that runs up, a cycle and a second declaration would be found', () => {
  const found = (file: string, source: string) => importsOf(file, source).filter((imported) => runsUp(file, imported));
  assert.deepEqual(found('platform/a.ts', "import { b } from '../config/b.ts';"), ['config/b.ts']);
  assert.deepEqual(found('platform/kernel/a.ts', "import type {\n  B,\n} from '../../sizing.ts';"), ['sizing.ts']);
  assert.deepEqual(found('worker/a.ts', "const b = await import('../arbiter/b.ts');"), ['arbiter/b.ts']);
  assert.deepEqual(found('errors.ts', "export { b } from './platform/b.ts';"), ['platform/b.ts']);
  assert.deepEqual(found('version.ts', "import './config/b.ts';"), ['config/b.ts']);
  assert.deepEqual(found('arbiter/a.ts', "import { b } from '../platform/b.ts';\nimport './pool/c.ts';"), []);
  const edges = roomEdges(
    new Map([
      ['worker/a.ts', "import '../config/b.ts';"],
      ['config/b.ts', "import '../context-hook.ts';"],
      ['context-hook.ts', "import './worker/c.ts';"],
      ['arbiter/d.ts', "import '../worker/a.ts';"],
    ]),
  );
  assert.deepEqual(cycles(edges).sort(), ['config', 'context-hook', 'worker']);
  const files = new Map([
    ['arbiter/a.ts', "import type { B } from './pool/b.ts';"],
    ['arbiter/pool/b.ts', "import { a } from '../a.ts';\nimport './c.ts';"],
    ['arbiter/pool/c.ts', ''],
  ]);
  assert.deepEqual(cycles(fileEdges(files)), ['arbiter/a.ts', 'arbiter/pool/b.ts']);
  assert.deepEqual(typeNames('export type A = 1;\nabstract class B {}\n  interface C {}'), ['A', 'B']);
});

/** Modules whose facade loads more than all of tsunicorn: node-http.ts and node-fs.ts of platform/ replace it. */
const COSTLY = /^import (?!type )[^;]* from '(node:(?:http|fs|fs\/promises|util))'/gm;

test('no module of src/ imports the facade of node:http, node:fs or node:util', () => {
  const found = [...sources].flatMap(([name, source]) =>
    [...source.matchAll(COSTLY)].map(([, module]) => `${name}: ${module}`),
  );
  assert.deepEqual(found, []);
});

test('a worker does not load prom-client, whose registry would be taken for that of the app', () => {
  const seen = new Set<string>();
  const visit = (url: URL): void => {
    if (seen.has(url.pathname)) return;
    seen.add(url.pathname);
    const source = readFileSync(url, 'utf8');
    assert.doesNotMatch(source, /^(?!import type |import \{ type ).*['"]prom-client/m, url.pathname);
    for (const [, file = ''] of source.matchAll(/^(?:import|export) (?!type )[^;]*? from '(\.[^']+)'/gm)) {
      visit(new URL(file, url));
    }
    for (const [, file = ''] of source.matchAll(/\bimport\('(\.[^']+)'\)/g)) visit(new URL(file, url));
  };
  visit(new URL('worker/run.ts', SRC));
  assert.ok(seen.has(new URL('worker/report/app-metrics.ts', SRC).pathname));
  // Negative control.
  assert.throws(() => visit(new URL('observe/metrics/exposition.ts', SRC)), /exposition\.ts/);
});
