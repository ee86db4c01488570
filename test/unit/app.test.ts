import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { answerOf, load, plant, SERVER, says } from './app-files.ts';

/** The text of app.mjs, app.cjs or app.ts, what stands behind the path in TSUNICORN_APP, the answer, the name for the log. */
type Row = [what: string, file: string, text: string, suffix: string, answer: string, name?: string];

const rows: Row[] = [
  ['default function', 'app.mjs', `export default ${says('a')}`, '', 'a', 'app.mjs'],
  ['default before the others', 'app.mjs', `export const app = ${says('b')}; export default ${says('a')}`, '', 'a'],
  [
    'app',
    'app.mjs',
    `export const server = ${says('b')}, handler = ${says('b')}, app = ${says('a')}`,
    '',
    'a',
    'app.mjs:app',
  ],
  ['handler', 'app.mjs', `export const server = ${says('b')}, handler = ${says('a')}`, '', 'a', 'app.mjs:handler'],
  ['server that is a function', 'app.mjs', `export const server = ${says('a')}`, '', 'a'],
  [
    'a name',
    'app.mjs',
    `export default ${says('b')}; export const other = ${says('a')}`,
    ':other',
    'a',
    'app.mjs:other',
  ],
  ['the name default', 'app.mjs', `export default ${says('a')}; export const app = ${says('b')}`, ':default', 'a'],
  ['a name with letters beyond ASCII', 'app.mjs', `export const größe = ${says('a')}`, ':größe', 'a'],
  ['a name with $ and _', 'app.mjs', `export const $_1 = ${says('a')}`, ':$_1', 'a'],
  ['a promise', 'app.mjs', `export default Promise.resolve(${says('a')})`, '', 'a'],
  ['a promise by name', 'app.mjs', `export const late = Promise.resolve(${says('a')})`, ':late', 'a'],
  ['top-level await', 'app.mjs', `await new Promise(setImmediate); export default ${says('a')}`, '', 'a'],
  ['a factory', 'app.mjs', `export function create() { return ${says('a')} }`, ':create()', 'a', 'app.mjs:create'],
  ['an asynchronous factory', 'app.mjs', `export async function create() { return ${says('a')} }`, ':create()', 'a'],
  ['a default factory', 'app.mjs', `export default () => ${says('a')}`, ':()', 'a'],
  ['a factory in CommonJS', 'app.cjs', `module.exports = { create: () => ${says('a')} }`, ':create()', 'a'],
  [
    'an object with a handler method, bound',
    'app.mjs',
    "export default { word: 'a', handler(q, s) { s.end(this.word) } }",
    '',
    'a',
  ],
  [
    'an object with a handle method',
    'app.mjs',
    "export default { word: 'a', handle(q, s) { s.end(this.word) } }",
    '',
    'a',
  ],
  [
    'an instance of a class',
    'app.mjs',
    "class A { word = 'a'; handle(q, s) { s.end(this.word) } }; export default new A()",
    '',
    'a',
  ],
  [
    'a function with properties (Express)',
    'app.mjs',
    `export default Object.assign(${says('a')}, { handle() {}, listen() {}, app: 1 })`,
    '',
    'a',
  ],
  ['module.exports', 'app.cjs', `module.exports = ${says('a')}`, '', 'a', 'app.cjs'],
  [
    'module.exports with properties',
    'app.cjs',
    `module.exports = ${says('a')}; module.exports.app = ${says('b')}`,
    '',
    'a',
  ],
  ['exports.app', 'app.cjs', `exports.app = ${says('a')}; exports.other = ${says('b')}`, '', 'a', 'app.cjs:app'],
  ['exports.handler', 'app.cjs', `exports.handler = ${says('a')}`, '', 'a'],
  [
    'exports.app before exports.handler',
    'app.cjs',
    `exports.handler = ${says('b')}; exports.app = ${says('a')}`,
    '',
    'a',
  ],
  [
    'exports.app before exports.server',
    'app.cjs',
    `module.exports = { server: ${SERVER}, app: ${says('a')} }`,
    '',
    'a',
  ],
  ['a name in CommonJS', 'app.cjs', `exports.app = ${says('b')}; exports.other = ${says('a')}`, ':other', 'a'],
  ['a name in CommonJS that only running it shows', 'app.cjs', `exports['oth' + 'er'] = ${says('a')}`, ':other', 'a'],
  ['exports that only running it shows', 'app.cjs', `exports['ap' + 'p'] = ${says('a')}`, '', 'a'],
  [
    'compiled to CommonJS',
    'app.cjs',
    `Object.defineProperty(exports, '__esModule', { value: true }); exports.default = ${says('a')}`,
    '',
    'a',
    'app.cjs',
  ],
  ['compiled to CommonJS, app', 'app.cjs', `exports.__esModule = true; exports.app = ${says('a')}`, '', 'a'],
  [
    'compiled to CommonJS, default before app',
    'app.cjs',
    `exports.__esModule = true; exports.app = ${says('b')}; exports.default = ${says('a')}`,
    '',
    'a',
  ],
  [
    'exports.app before exports.handle',
    'app.cjs',
    `exports.handle = ${says('b')}; exports.app = ${says('a')}`,
    '',
    'a',
  ],
  [
    'compiled to CommonJS, default before handler',
    'app.cjs',
    `exports.__esModule = true; exports.handler = ${says('b')}; exports.default = ${says('a')}`,
    '',
    'a',
  ],
  [
    'compiled to CommonJS, the name default',
    'app.cjs',
    `exports.__esModule = true; exports.default = ${says('a')}`,
    ':default',
    'a',
  ],
  [
    'bundled to CommonJS',
    'app.cjs',
    `var x = {}; Object.defineProperty(x, 'default', { get: () => ${says('a')}, enumerable: true }); module.exports = Object.defineProperty(x, '__esModule', { value: true })`,
    '',
    'a',
  ],
  ['default that is a container', 'app.mjs', `export default { app: ${says('a')} }`, '', 'a'],
  [
    'default that is a container of nothing, beside app',
    'app.mjs',
    `export default { port: 3000 }; export const app = ${says('a')}`,
    '',
    'a',
  ],
  [
    'TypeScript',
    'app.ts',
    `export default (q: unknown, s: { end(x: string): void }): void => s.end('a')`,
    '',
    'a',
    'app.ts',
  ],
  ['TypeScript modules', 'app.mts', `export const app = (q: unknown, s: any) => s.end('a')`, '', 'a'],
  ['an http.Server', 'app.cjs', `module.exports = ${SERVER}`, '', 'server 1', 'app.cjs'],
  ['exports.server', 'app.cjs', `exports.server = ${SERVER}`, '', 'server 1', 'app.cjs:server'],
  ['an http.Server by factory', 'app.cjs', `exports.create = async () => ${SERVER}`, ':create()', 'server 1'],
  [
    'a server class of its own',
    'app.cjs',
    `const h = require('node:http'); class S extends h.Server {}; module.exports = new S(${says('x')})`,
    '',
    'server 1',
  ],
];

describe('an app', () => {
  for (const [what, file, text, suffix, answer, name] of rows) {
    it(`is found: ${what}`, async () => {
      const app = await load(`./${file}${suffix}`, plant({ [file]: text }));
      assert.equal(answerOf(app), answer);
      if (name !== undefined) assert.equal(app.name, name);
    });
  }
});
