/**
 * Each example under tsunicorn with two workers, on each release of Node.js. `UPDATE_DOCS=1` asks the registry for newer
 * versions first, and writes what it saw to docs/apps.md.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { start } from '../support/server.ts';
import { appsDocument, type Outcome } from './document.ts';
import { EXAMPLES, majorsOf, NODE_MAJORS, type Step, stepsOf } from './examples.ts';
import { installExample, installNodes, type NodeRelease, versionOf } from './install.ts';
import { nodesWanted } from './nodes.ts';
import { TRY } from './steps.ts';

/** Longer than the graceful timeout, so that a drain that has to kill fails by what the log says. */
const STEP_TIMEOUT_MS = 40_000;
/** Frameworks take seconds to load where both cores are busy. */
const BOOT_TIMEOUT_S = 60;

const UPDATE = process.env.UPDATE_DOCS === '1';
const NEWEST = Math.max(...NODE_MAJORS);
const outcomes: Outcome[] = [];
let nodes: readonly NodeRelease[] = [];

before(async () => {
  nodes = nodesWanted(await installNodes(UPDATE));
});

for (const example of EXAMPLES) {
  test(`${example.title} (examples/${example.directory})`, async (t) => {
    const directory = await installExample(example, UPDATE);
    const version = example.package === undefined ? '–' : versionOf(directory, example.package);
    const good: string[] = [];
    const passed = new Set<Step>(stepsOf(example));
    const wanted: readonly number[] = example.isHeavy && !UPDATE ? [NEWEST] : majorsOf(example);
    for (const node of nodes.filter(({ major }) => wanted.includes(major))) {
      await t.test(`on Node.js ${node.version}`, async (on) => {
        const failed = new Set<Step>(stepsOf(example));
        try {
          const { app, env } = example;
          const settings = {
            NODE_ENV: 'production',
            TSUNICORN_CHDIR: directory,
            ...(app === undefined ? {} : { TSUNICORN_APP: app }),
            ...env,
          };
          const server = await (await start(on, { node: node.path, env: settings })).ready(BOOT_TIMEOUT_S);
          for (const step of stepsOf(example)) {
            await on.test(step, { timeout: STEP_TIMEOUT_MS }, async () => {
              await TRY[step](server, example.paths);
              failed.delete(step);
            });
          }
          const output = server.stdout + server.stderr;
          const { prints } = example;
          assert.ok(prints?.test(output) ?? true, `${prints} is not on its output:\n${output.slice(-4000)}`);
          if (failed.size === 0) good.push(node.version);
        } finally {
          for (const step of failed) passed.delete(step);
        }
      });
    }
    outcomes.push({ directory: example.directory, version, nodes: good, passed: [...passed] });
  });
}

after(() => {
  if (!UPDATE) return;
  // A run of some examples only knows nothing about the others.
  assert.equal(outcomes.length, EXAMPLES.length, 'docs/apps.md is written by a run of all examples');
  writeFileSync(new URL('../../docs/apps.md', import.meta.url), appsDocument(outcomes));
});
