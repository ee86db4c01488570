/** Linters, names of settings, and the examples. */
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { loadSettings } from '../../src/config/load.ts';
import { renderTable } from '../../src/config/render.ts';
import { SETTINGS } from '../../src/config/settings.ts';
import { variablesOf } from '../../src/config/table.ts';
import { DIRECTORY, must, ROOT, run, skipReason } from './support/machine.ts';
import { build, tryPodman } from './support/podman.ts';

const skip = skipReason();
const find = (...patterns: string[]) => globSync(patterns, { cwd: ROOT }).sort();
const DEPLOYED = ['Dockerfile', 'docker/**/*', 'compose/**/*', 'examples/docker/**/*', 'k8s/**/*'];

test('compose/tsunicorn.env has every setting, commented out', () => {
  const rendered = renderTable(SETTINGS, loadSettings({ env: {}, cwd: '/app', isTerminal: false }), {}, 'env');
  const text = readFileSync(join(ROOT, 'compose/tsunicorn.env'), 'utf8');
  assert.equal(text.slice(text.indexOf('## ')), rendered);
  assert.deepEqual(
    text.split('\n').filter((line) => !/^(#|$)/.test(line)),
    [],
  );
});

test('only settings that exist are named', () => {
  const known = new Set(variablesOf(SETTINGS));
  for (const file of find(...DEPLOYED, 'docs/docker.md', 'docs/nginx.md')) {
    const path = join(ROOT, file);
    if (!statSync(path).isFile()) continue;
    const names = readFileSync(path, 'utf8').match(/\bTSUNICORN_[A-Z_]*[A-Z]\b/g) ?? [];
    for (const name of names) assert.ok(known.has(name) || known.has(name.replace(/_FILE$/, '')), `${file}: ${name}`);
  }
});

test('shellcheck', { skip }, async () => {
  const shells = find('test/container/**/*.sh', 'docker/**/*.sh', 'docker/**/*.envsh');
  assert.ok(shells.length >= 4);
  assert.equal(await must('shellcheck', shells), '');
});

test('Dockerfiles', { skip }, async () => {
  const tools = join(DIRECTORY, 'tools');
  if (!existsSync(join(tools, 'node_modules/dockerfile-utils'))) {
    await must('npm', ['install', '--no-audit', '--no-fund', '--prefix', tools, 'dockerfile-utils@0']);
  }
  const entry = pathToFileURL(join(tools, 'node_modules/dockerfile-utils/lib/main.js')).href;
  const { validate } = (await import(entry)) as { validate(text: string): { message: string }[] };
  const files = find('Dockerfile', 'docker/**/Dockerfile', 'examples/**/Dockerfile');
  assert.ok(files.length >= 4);
  for (const file of files) {
    const found = validate(readFileSync(join(ROOT, file), 'utf8')).map(({ message }) => message);
    assert.deepEqual(found, [], file);
  }
});

test('haproxy -c', { skip }, async () => {
  const { code, stdout, stderr } = await run('haproxy', ['-c', '-f', 'compose/haproxy/haproxy.cfg'], {
    env: { HAPROXY_UPSTREAM: '127.0.0.1:8000' },
  });
  assert.equal(code, 0, stdout + stderr);
  assert.doesNotMatch(stdout + stderr, /WARNING|ALERT/);
});

test('promtool check config', { skip }, async () => {
  await must('promtool', ['check', 'config', 'compose/prometheus/prometheus.yml']);
});

for (const example of ['javascript', 'typescript']) {
  test(`examples/docker/${example} builds and serves`, { skip }, async () => {
    const tag = `localhost/example-${example}`;
    // Without the cache: of a step that is taken from there nothing is printed.
    const text = await build({ context: `${ROOT}examples/docker/${example}`, tag, args: ['--no-cache'] });
    assert.match(text, /^ok: \S+ can be served$/m);
    const run = await tryPodman(['run', '--rm', '--pull=never', '--network=none', '--read-only', tag, 'config']);
    assert.equal(run.code, 0);
  });
}

test('an app that cannot be served fails its image build', { skip }, async (t) => {
  const folder = join(DIRECTORY, 'crashing');
  await must('sh', ['-c', `rm -rf ${folder} && cp -r ${ROOT}examples/docker/javascript ${folder}`]);
  t.after(() => must('rm', ['-r', folder]));
  await must('sh', ['-c', `echo 'import "./missing.js";' > ${folder}/app.js`]);
  await assert.rejects(build({ context: folder, tag: 'localhost/broken' }), /missing\.js/);
});
