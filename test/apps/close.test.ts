/** Real Nest, and real close-with-grace with Fastify: hooks run once at the end of a drain, and nothing is cut. */
import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { start } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';
import { installExample, installNodes, type NodeRelease } from './install.ts';
import { nodesWanted } from './nodes.ts';

const UPDATE = process.env.UPDATE_DOCS === '1';
const PROGRAMS = fileURLToPath(new URL('../fixtures/apps/programs/', import.meta.url));
const NEST = ['onModuleDestroy', 'beforeApplicationShutdown', 'onApplicationShutdown'];
const FASTIFY = ['preClose', 'onClose'];

const cases: [program: string, how: string, hooks: string[]][] = [
  ['closes-nest.mjs', 'nobody', NEST],
  ['closes-nest.mjs', 'enableShutdownHooks', NEST],
  ['closes-nest.mjs', 'a handler', NEST],
  ['closes.mjs', 'close-with-grace', FASTIFY],
];

let nodes: readonly NodeRelease[] = [];
const homes: Record<string, string> = {};

before(async () => {
  nodes = nodesWanted(await installNodes(UPDATE));
  for (const [program, example] of [
    ['closes-nest.mjs', 'nest'],
    ['closes.mjs', 'fastify'],
  ] as const) {
    const home = await installExample({ directory: example }, UPDATE);
    cpSync(join(PROGRAMS, program), join(home, program));
    homes[program] = home;
  }
});

for (const [program, HOW, hooks] of cases) {
  for (const LISTENS of ['', '1']) {
    test(`${program}${LISTENS && ', which listens'}: closed by ${HOW}`, async (t) => {
      for (const { version, path: node } of nodes) {
        await t.test(`on Node.js ${version}`, async (on) => {
          const env = { TSUNICORN_WORKERS: '1', LISTENS, HOW };
          const app = join(homes[program] ?? '', program);
          const server = await (await start(on, { app, env, node })).ready(60);
          const slow = server.get('/slow');
          await waitFor('the request is in flight', () => server.stdout.includes('in flight'));
          server.signal('SIGTERM');
          assert.equal((await slow).body, 'database open');
          assert.equal((await server.exited).code, 0);
          assert.deepEqual(
            [...server.stdout.matchAll(/^hook: (.*)$/gm)].map(([, hook]) => hook),
            hooks,
          );
          await server.untilLogged('worker ended: exit code 0');
          assert.deepEqual(server.logged(/failed|killed/), []);
        });
      }
    });
  }
}
