/** Boots that fail for another reason than the app: the arbiter's last line has it, and not stderr alone. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { run } from '../support/server.ts';

const module = (code: string): string => `--import data:text/javascript,${encodeURIComponent(code)}`;

for (const [what, options, why] of [
  [
    'a preload that is not there',
    '--import ./nowhere.mjs',
    /the last: exit code 1 before it could say why: see stderr$/,
  ],
  [
    'a failure between the app and its server',
    module('import http from "node:http"; http.createServer = () => { throw new Error("no server today"); }'),
    /the last: no server today$/,
  ],
] as const) {
  test(`the last line says why workers do not boot: ${what}`, async (t) => {
    const env = { TSUNICORN_NODE_OPTIONS: options, TSUNICORN_CRASH_LIMIT: '1', TSUNICORN_WORKERS: '1' };
    const { code, log } = await run(t, { app: 'basic.js', env });
    assert.equal(code, 3);
    assert.match(log.at(-1)?.msg ?? '', why);
  });
}
