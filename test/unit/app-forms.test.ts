import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { load, plant } from './app-files.ts';

const FETCH = "fetch: () => new Response('a')";
const HTTP = "const http = require('node:http'); const server = http.createServer((q, s) => s.end('a'));";

/** The file, its text, what follows the path, and the kind and name of the app. */
type Row = [what: string, file: string, text: string, suffix: string, kind: 'handler' | 'server', name: string];

const rows: Row[] = [
  ['an object with fetch', 'app.mjs', `export default { ${FETCH} }`, '', 'handler', 'app.mjs'],
  ['with a port beside it', 'app.mjs', `export default { port: 3000, ${FETCH} }`, '', 'handler', 'app.mjs'],
  [
    'with handler and handle too',
    'app.mjs',
    `export default { handler() { throw 1 }, ${FETCH} }`,
    '',
    'handler',
    'app.mjs',
  ],
  ['module.exports with fetch', 'app.cjs', `module.exports = { ${FETCH} }`, '', 'handler', 'app.cjs'],
  [
    'exports.app before exports.fetch',
    'app.cjs',
    `exports.fetch = 1; exports.app = { ${FETCH} }`,
    '',
    'handler',
    'app.cjs:app',
  ],
  [
    'an export named fetch',
    'app.mjs',
    "export const fetch = (request, env) => new Response('a')",
    '',
    'handler',
    'app.mjs:fetch',
  ],
  ['exports.fetch', 'app.cjs', "exports.fetch = () => new Response('a')", '', 'handler', 'app.cjs'],
  [
    'fetch by name',
    'app.mjs',
    "export const fetch = (a, b) => new Response('a')",
    ':fetch',
    'handler',
    'app.mjs:fetch',
  ],
  [
    'a function with a fetch method',
    'app.mjs',
    `export default Object.assign(() => {}, { ${FETCH} })`,
    '',
    'handler',
    'app.mjs',
  ],
  [
    'a promise of an object with fetch',
    'app.mjs',
    `export default Promise.resolve({ ${FETCH} })`,
    '',
    'handler',
    'app.mjs',
  ],
  [
    'what Koa makes',
    'app.mjs',
    "export default { use() {}, listen() {}, emit() {}, callback: () => (q, s) => s.end('a') }",
    '',
    'handler',
    'app.mjs',
  ],
  [
    'what Fastify makes: ready() comes first, and its server is not taken for a container’s',
    'app.cjs',
    `${HTTP} let ready = false; module.exports = { inject() {}, ready: async () => { ready = true }, get server() { if (!ready) return {}; return server } }`,
    '',
    'server',
    'app.cjs',
  ],
  [
    'what Nest makes on Fastify',
    'app.cjs',
    `${HTTP} let ready = 0; module.exports = { init: async () => { ready++ }, getHttpAdapter: () => ({ getInstance: () => ({ inject() {}, ready: async () => { ready++ } }) }), getHttpServer: () => ready === 2 ? server : undefined }`,
    '',
    'server',
    'app.cjs',
  ],
];

describe('an app of a framework', () => {
  for (const [what, file, text, suffix, kind, name] of rows) {
    it(`is found: ${what}`, async () => {
      const app = await load(`${file}${suffix}`, plant({ [file]: text }));
      assert.deepEqual([app.kind, app.name], [kind, name]);
    });
  }

  it('names what it waits for, step by step', async () => {
    const waited: string[] = [];
    const text = 'export const create = async () => ({ inject() {}, async ready() {}, server: undefined })';
    const directory = plant({ 'app.mjs': text });
    await assert.rejects(load('app.mjs:create()', directory, waited), /a server that is not from node:http/);
    assert.deepEqual(waited, [
      `the import of ${directory}/app.mjs`,
      'the factory app.mjs:create()',
      'ready() of app.mjs:create',
    ]);
  });
});
