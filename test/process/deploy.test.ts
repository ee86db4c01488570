import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { start } from '../support/server.ts';

test('a release behind a symbolic link is taken up at HUP, also where the old one is gone', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'tsunicorn-test-'));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  const current = join(root, 'current');
  const release = (name: string): void => {
    mkdirSync(join(root, name));
    writeFileSync(join(root, name, 'app.mjs'), `export default (_, response) => response.end('${name}');\n`);
    symlinkSync(name, `${current}.new`);
    renameSync(`${current}.new`, current);
  };
  release('first');
  // As a shell does it, whose $PWD is the name of the link.
  const wrapper = ['sh', '-c', 'cd "$0" && exec "$@"', current];
  const server = await (await start(t, { wrapper, env: { TSUNICORN_WORKERS: '1' } })).ready();
  assert.equal((await server.get('/')).body, 'first');
  release('second');
  rmSync(join(root, 'first'), { recursive: true });
  server.signal('SIGHUP');
  await server.untilLogged('worker ended: exit code 0');
  assert.equal((await server.get('/')).body, 'second');
  assert.equal(await server.stop(), 0);
});
