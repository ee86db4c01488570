import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AppLoadError } from '../../src/errors.ts';
import { type Files, load, plant, SERVER, says } from './app-files.ts';

/** The message of the AppLoadError; the directory stands as DIR in it. */
type Failure = [what: string, files: Files, reference: string, message: RegExp];

const LISTENS = `module.exports = ${SERVER}.listen(0).unref()`;
const failures: Failure[] = [
  [
    'no such file',
    {},
    'dist/app.js',
    /^TSUNICORN_APP=dist\/app\.js: there is no file DIR\/dist\/app\.js\. Give a path/,
  ],
  [
    'no such file, without an extension',
    {},
    'dist/app',
    /no file DIR\/dist\/app with any of the extensions \.js \.mjs .* Give a path/,
  ],
  ['no path', {}, ':app', /there is no file/],
  ['no path, beside an index', { 'index.js': '' }, ':app', /there is no file/],
  [
    'a server of another protocol',
    { 'app.cjs': "module.exports = require('node:net').createServer()" },
    'app.cjs',
    /app\.cjs is an object with .*, which is not an app/,
  ],
  ['nothing', {}, '', /there is no file/],
  ['a line break', {}, 'app.js\n', /there is no file/],
  ['a directory without index', { 'dist/app.js': '' }, 'dist', /there is no file DIR\/dist/],
  ['a wrong extension', { 'app.txt': '' }, 'app.txt', /app\.txt is not a module; its extension must be one of \.js/],
  ['JSON', { 'app.json': '{}' }, 'app.json', /app\.json is not a module/],
  ['a file without an extension', { app: '' }, 'app', /app is not a module/],
  ['a path to an export', { 'app.mjs': '' }, 'app.mjs:a.b', /no file DIR\/app\.mjs:a\.b/],
  ['a factory with arguments', { 'app.mjs': '' }, 'app.mjs:a(1)', /there is no file/],
  [
    'no such export',
    { 'app.mjs': 'export const a = 1, b = 2' },
    'app.mjs:c',
    /DIR\/app\.mjs has no export named c; it has a, b$/,
  ],
  ['no such export in CommonJS', { 'app.cjs': 'exports.a = 1' }, 'app.cjs:c', /has no export named c/],
  ['a name that every object has', { 'app.cjs': 'exports.a = 1' }, 'app.cjs:toString', /has no export named toString/],
  [
    'a name that every function has',
    { 'app.cjs': `module.exports = ${says('a')}` },
    'app.cjs:bind',
    /has no export named bind/,
  ],
  ['no exports', { 'app.mjs': '' }, 'app.mjs', /DIR\/app\.mjs exports no app: .* found no exports/],
  [
    'no app among the exports',
    { 'app.mjs': 'export const a = 1, b = () => {}' },
    'app.mjs',
    /found a, b\. Export the app, or name/,
  ],
  [
    'no app among the exports of CommonJS',
    { 'app.cjs': 'exports.a = 1; exports.b = () => {}' },
    'app.cjs',
    /app\.cjs (exports no app: |is an object with a, b)/,
  ],
  ['a class', { 'app.mjs': 'export default class App {}' }, 'app.mjs', /app\.mjs is a class, which is not an app/],
  [
    'an object that is no app',
    { 'app.mjs': 'export default new (class { a = 1 })()' },
    'app.mjs',
    /an object with a, which/,
  ],
  ['text', { 'app.mjs': "export const a = 'x'" }, 'app.mjs:a', /app\.mjs:a is x, which is not an app/],
  ['null', { 'app.mjs': 'export const a = null' }, 'app.mjs:a', /has no export named a/],
  [
    'a promise of nothing',
    { 'app.mjs': 'export default Promise.resolve()' },
    'app.mjs',
    /app\.mjs is undefined, which/,
  ],
  ['a factory of nothing', { 'app.mjs': 'export const a = () => {}' }, 'app.mjs:a()', /app\.mjs:a is undefined, which/],
  ['a factory of a class', { 'app.mjs': 'export const a = () => class {}' }, 'app.mjs:a()', /is a class/],
  ['a factory that is no function', { 'app.mjs': 'export const a = 5' }, 'app.mjs:a()', /app\.mjs:a is not a function/],
  [
    'a class',
    { 'app.mjs': 'export default class App {}' },
    'app.mjs',
    /Export an instance of it, or a function that makes one/,
  ],
  ['a class with a static fetch', { 'app.mjs': 'export default class { static fetch() {} }' }, 'app.mjs', /is a class/],
  [
    'an HTTPS server',
    { 'app.cjs': "module.exports = require('node:https').createServer({})" },
    'app.cjs',
    /app\.cjs is an HTTPS server, .* Create it with node:http/,
  ],
  ['a server that listens', { 'app.cjs': LISTENS }, 'app.cjs', /app\.cjs is a server that is already listening/],
  ['a syntax error', { 'app.mjs': 'export default (' }, 'app.mjs', /DIR\/app\.mjs cannot be imported: /],
  ['a syntax error in CommonJS', { 'app.cjs': 'module.exports = (' }, 'app.cjs', /app\.cjs cannot be imported: /],
  [
    'a syntax error in an imported module',
    { 'app.mjs': "import './b.mjs'", 'b.mjs': 'nope nope' },
    'app.mjs',
    /cannot be imported: /,
  ],
  [
    'a syntax error in an imported CommonJS module',
    { 'app.cjs': "require('./b.cjs')", 'b.cjs': 'nope nope' },
    'app.cjs',
    /cannot be imported: /,
  ],
  [
    'an import that is not there',
    { 'app.mjs': "import { x } from './b.mjs'", 'b.mjs': '' },
    'app.mjs',
    /cannot be imported: /,
  ],
  [
    'a dependency that is missing',
    { 'app.mjs': "import 'no-such-package'" },
    'app.mjs',
    /cannot be imported: .*no-such-package/,
  ],
  [
    'a dependency that is missing in CommonJS',
    { 'app.cjs': "require('no-such-package')" },
    'app.cjs',
    /no-such-package/,
  ],
  ['a file that is missing', { 'app.mjs': "import './no.mjs'" }, 'app.mjs', /cannot be imported: .*no\.mjs/],
  ['a directory that is imported', { 'app.mjs': "import './b'", 'b/index.js': '' }, 'app.mjs', /cannot be imported: /],
  [
    'a path that a package does not export',
    { 'app.mjs': "import 'p/x'", 'node_modules/p/package.json': '{"exports":"./i.js"}', 'node_modules/p/i.js': '' },
    'app.mjs',
    /cannot be imported: /,
  ],
  [
    'JSON that is imported as code',
    { 'app.mjs': "import './b.json'", 'b.json': '{}' },
    'app.mjs',
    /cannot be imported: /,
  ],
  [
    'TypeScript below node_modules',
    { 'app.mjs': "import 'p'", 'node_modules/p/package.json': '{"exports":"./i.ts"}', 'node_modules/p/i.ts': '' },
    'app.mjs',
    /cannot be imported: /,
  ],
  [
    'TypeScript that has to be compiled',
    { 'app.ts': 'enum A { b }\nexport default A' },
    'app.ts',
    /Compile it first \(tsc\)/,
  ],
  [
    'the file that has to be compiled is imported',
    { 'app.ts': "import './b.ts'", 'b.ts': '\n\nnamespace N { export const a = 1 }' },
    'app.ts',
    /DIR\/b\.ts:3: Node\.js only strips types from TypeScript/,
  ],
  [
    'parameter properties',
    { 'app.ts': 'class A { constructor(private x: number) {} }' },
    'app.ts',
    /parameter property .*--import=tsx/,
  ],
  [
    'a decorator',
    { 'app.ts': 'const d = (x: unknown) => x; @d class A {}' },
    'app.ts',
    /If this is a decorator: .*tsc/,
  ],
  [
    'a type that is imported as a value',
    { 'app.ts': "import { T } from './b.ts'", 'b.ts': 'export type T = 1' },
    'app.ts',
    /named 'T'\. If it is a type, import it with `import type`/,
  ],
  [
    'TypeScript imported without extension',
    { 'app.ts': "import './b'", 'b.ts': '' },
    'app.ts',
    /There is DIR\/b\.ts: .* so import \.\/b\.ts /,
  ],
  [
    'TypeScript imported as .js',
    { 'app.ts': "import './lib/b.js'", 'lib/b.ts': '' },
    'app.ts',
    /There is DIR\/lib\/b\.ts: .* so import \.\/lib\/b\.ts /,
  ],
  [
    'TypeScript required without extension',
    { 'app.cts': "require('./b')", 'b.cts': '' },
    'app.cts',
    /Cannot find module '\.\/b'\. There is DIR\/b\.cts: /,
  ],
  [
    'JavaScript imported without extension',
    { 'app.mjs': "import './b'", 'b.js': '' },
    'app.mjs',
    /so import \.\/b\.js /,
  ],
  ['a directory', { 'app.ts': "import './b'", 'b/index.ts': '' }, 'app.ts', /so import \.\/b\/index\.ts /],
  [
    'an alias of tsconfig.json',
    {
      'src/app.ts': "import '@/b'",
      'tsconfig.json': '{ // with a comment\n"compilerOptions": { "paths": { "@/*": ["./src/*"] } } }',
    },
    'src/app.ts',
    /'@\/b' .*It is an alias in DIR\/tsconfig\.json, .*"imports" of package\.json/,
  ],
  [
    'a package, where tsconfig.json has other aliases',
    { 'app.ts': "import 'x'", 'tsconfig.json': '{"compilerOptions":{"paths":{"@/*":["./*"],"xy":["./*"]}}}' },
    'app.ts',
    /'x' .*Is it in the dependencies/,
  ],
  ['JSX', { 'app.tsx': '' }, 'app.tsx', /app\.tsx is not a module; .* Compile JSX first/],
  ['JSX in an imported module', { 'app.mjs': "import './b.jsx'", 'b.jsx': '' }, 'app.mjs', /Compile JSX first/],
  ['bad TypeScript', { 'app.ts': 'const a: = 1' }, 'app.ts', /app\.ts/],
  ['main that is JSON', { 'package.json': '{"main":"data.json"}', 'data.json': '{}' }, '(discovered)', /data\.json/],
];

describe('what is not an app', () => {
  for (const [what, files, reference, message] of failures) {
    it(`is refused at once: ${what}`, async () => {
      const directory = plant(files);
      const loading = load(reference === '(discovered)' ? undefined : reference, directory);
      await assert.rejects(loading, (error) => {
        assert.ok(error instanceof AppLoadError, String(error));
        assert.equal(error.status, 4);
        assert.match(error.message.replaceAll(directory, 'DIR'), message);
        return true;
      });
    });
  }

  it('keeps its cause, for the stack', async () => {
    const loading = load('app.mjs', plant({ 'app.mjs': "import 'no-such-package'" }));
    await assert.rejects(
      loading,
      ({ cause }: Error) => (cause as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND',
    );
  });
});

/** A retry may succeed: these count towards the crash limit. The text throws `globalThis.thrown`. */
describe('what the app throws passes through unchanged', () => {
  const thrown: [what: string, error: unknown][] = [
    ['an error', new Error('the database is down')],
    ['an error with a code', Object.assign(new Error('refused'), { code: 'ECONNREFUSED' })],
    ['an error with a number for a code', Object.assign(new Error('denied'), { code: 1045 })],
    ['a frozen error', Object.freeze(new TypeError('no'))],
    ['text', 'no'],
    ['a number', 5],
    ['null', null],
    ['undefined', undefined],
    ['an object', { message: 'no' }],
  ];
  const texts: [where: string, file: string, text: string, suffix: string][] = [
    ['at the top', 'app.mjs', 'throw globalThis.thrown', ''],
    ['at the top of CommonJS', 'app.cjs', 'throw globalThis.thrown', ''],
    ['in a factory', 'app.mjs', 'export const create = () => { throw globalThis.thrown }', ':create()'],
    [
      'in an asynchronous factory',
      'app.mjs',
      'export const create = async () => { throw globalThis.thrown }',
      ':create()',
    ],
    ['by a promise', 'app.mjs', 'const p = Promise.reject(globalThis.thrown); p.catch(() => {}); export default p', ''],
  ];
  for (const [where, file, text, suffix] of texts) {
    it(where, async () => {
      for (const [what, error] of thrown) {
        Object.assign(globalThis, { thrown: error });
        const caught = await load(`${file}${suffix}`, plant({ [file]: text })).then(
          () => 'nothing',
          (e: unknown) => ({ e }),
        );
        assert.deepEqual(caught, { e: error }, what);
        if (typeof error === 'object') assert.equal((caught as { e: unknown }).e, error, what);
      }
    });
  }

  it('including a SyntaxError thrown while it ran, such as from JSON.parse', async () => {
    for (const [file, text] of [
      ['app.mjs', "JSON.parse('<html>')"],
      ['app.cjs', "JSON.parse('<html>')"],
      ['app.mjs', "new Function('(')"],
    ] as const) {
      await assert.rejects(load(file, plant({ [file]: text })), (error) => {
        assert.ok(error instanceof SyntaxError, `${text}: ${String(error)}`);
        return true;
      });
    }
  });
});
