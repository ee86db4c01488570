/**
 * Apps that leak 1 MB a request, at full load under a real memory controller: no kill for want of memory, and no failed
 * request. `LEAK_SECONDS=600` makes it ten minutes each.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, suite, type TestContext, test } from 'node:test';
import { bundle, cases, emptyFolder, guestProblem, NODE, runGuest, type Said } from './support/guest.ts';
import { DIRECTORY, skipReason } from './support/machine.ts';

const SECONDS = Number(process.env.LEAK_SECONDS ?? 30);
const KINDS = ['bytes', 'objects'] as const;

suite('a leak at full load', { skip: skipReason() }, () => {
  const said = new Map<string, Said>();
  let everything = '';

  const inGuest = (name: string, body: (t: TestContext) => void): void =>
    void test(name, (t) => {
      const problem = guestProblem(everything);
      return problem === undefined ? body(t) : t.skip(problem);
    });

  before(async () => {
    const folder = join(DIRECTORY, 'leaks');
    const spec = await emptyFolder(folder);
    for (const kind of KINDS) {
      const settings = ['TSUNICORN_APP=leak-fast.js', 'TSUNICORN_WORKERS=2', 'TSUNICORN_ACCESS_LOG=off'];
      const leaks = { memory: 512, env: [...settings, `LEAK=${kind}`] };
      writeFileSync(join(folder, `leak-${kind}.json`), bundle(spec, `leak-${kind}`, leaks, NODE));
    }
    const files = {
      'test/fixtures/apps/leak-fast.js': '/app',
      'test/support/load.ts': '/app',
      'test/support/leak-client.ts': '/app',
    };
    const seconds = 200 + KINDS.length * (SECONDS + 60);
    everything = await runGuest(folder, files, { seconds, env: { LEAK_SECONDS: String(SECONDS) } });
    for (const [key, what] of cases(everything)) said.set(key, what);
  });

  for (const kind of KINDS) {
    inGuest(`an app that leaks 1 MB of ${kind} a request fails no request, and no worker is killed`, (t) => {
      const { text, exit } = said.get(`leak-${kind}`) ?? assert.fail(everything.slice(-3000));
      const loads = JSON.parse(/^load: (.*)$/m.exec(text)?.[1] ?? assert.fail(text));
      const restarts = Number(/^tsunicorn_worker_restarts_total\{reason="rss"\} (\d+)/m.exec(text)?.[1]);
      t.diagnostic(`${JSON.stringify(loads)}, ${restarts} restarts, ${/^peak \d+/m.exec(text)?.[0]}`);
      for (const { ok, failures } of loads) {
        assert.deepEqual(failures, {}, text);
        assert.ok(ok > SECONDS, `${ok} answers`);
      }
      assert.match(text, /^oom_kill 0\r?$/m);
      assert.ok(restarts >= 2, text);
      assert.match(text, /so new requests wait/);
      for (const reason of ['crash', 'oom', 'stall']) {
        assert.match(text, new RegExp(`^tsunicorn_worker_restarts_total\\{reason="${reason}"\\} 0`, 'm'));
      }
      assert.equal(exit, 0);
    });
  }
});
