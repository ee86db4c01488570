/** What HUP makes of files that changed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadSettings } from '../../src/config/load.ts';
import { rereadSettings } from '../../src/config/reread.ts';
import { SETTINGS } from '../../src/config/settings.ts';
import { variablesOf } from '../../src/config/table.ts';
import { ConfigError } from '../../src/errors.ts';

/** `before` and `after`: contents by setting, each given as a file. */
function reread(before: Record<string, string>, after: Record<string, string>, rest: Record<string, string> = {}) {
  let files = before;
  let reads = 0;
  const readFile = (path: string): string => {
    reads += 1;
    const content = files[path.slice(1)];
    if (content === undefined) throw new Error('ENOENT');
    return content;
  };
  const env = { ...rest, ...Object.fromEntries(Object.keys(before).map((name) => [`${name}_FILE`, `/${name}`])) };
  const environment = { env, cwd: '/srv', isTerminal: false, readFile };
  const loaded = loadSettings(environment);
  [files, reads] = [after, 0];
  return { ...rereadSettings(loaded, environment), before: loaded, reads };
}

test('settings of workers change, and those that bind the server to its start stay', () => {
  const { loaded, changed, needRestart } = reread(
    { TSUNICORN_TIMEOUT: '30', TSUNICORN_KEEPALIVE: '75', TSUNICORN_WORKERS: '2', PORT: '8000', TSUNICORN_USER: 'www' },
    { TSUNICORN_TIMEOUT: '9\n', TSUNICORN_KEEPALIVE: '75\n', TSUNICORN_WORKERS: '3', PORT: '9', TSUNICORN_USER: 'x' },
  );
  const { timeout, keepalive, workers, port, bind, user } = loaded.settings;
  assert.deepEqual([timeout, keepalive, workers, port, user], [9, 75, 3, 8000, 'www']);
  assert.deepEqual(bind, [{ kind: 'tcp', host: '0.0.0.0', port: 8000 }]);
  assert.deepEqual(changed, ['TSUNICORN_WORKERS', 'TSUNICORN_TIMEOUT']);
  assert.deepEqual(needRestart, ['PORT', 'TSUNICORN_USER']);
});

test('without a file nothing is read, and nothing changes where nothing changed', () => {
  const none = reread({}, {}, { TSUNICORN_WORKERS: '2' });
  assert.equal(none.loaded, none.before);
  const same = reread(
    { TSUNICORN_TIMEOUT: '30', TSUNICORN_BACKLOG: '5' },
    { TSUNICORN_TIMEOUT: '30', TSUNICORN_BACKLOG: '5' },
  );
  assert.deepEqual(same.loaded, same.before);
  assert.deepEqual([same.changed, same.needRestart, same.reads], [[], [], 2]);
});

test('a file that cannot be used leaves everything as it was', () => {
  const cases: [before: Record<string, string>, after: Record<string, string>, problems: string[]][] = [
    [
      { TSUNICORN_TIMEOUT: '30', TSUNICORN_KEEPALIVE: '75', TSUNICORN_WORKERS: '2' },
      { TSUNICORN_TIMEOUT: '', TSUNICORN_KEEPALIVE: 'hunter2' },
      [
        'TSUNICORN_WORKERS_FILE=/TSUNICORN_WORKERS: the file cannot be read: ENOENT',
        'TSUNICORN_TIMEOUT_FILE=/TSUNICORN_TIMEOUT: the file is empty',
        'TSUNICORN_KEEPALIVE_FILE=/TSUNICORN_KEEPALIVE: its content must be a number of seconds from 0 to 2147483, such as 30 or 0.5',
      ],
    ],
    [
      { TSUNICORN_DRAIN_DELAY: '3' },
      { TSUNICORN_DRAIN_DELAY: '60' },
      ['TSUNICORN_DRAIN_DELAY=60: must be less than TSUNICORN_GRACEFUL_TIMEOUT (25), which includes it'],
    ],
    // Each is right with the other's new value, which does not come without a restart.
    [
      { TSUNICORN_WORKER_CLASS: 'sync', TSUNICORN_MAX_EVENT_LOOP_LAG: '0' },
      { TSUNICORN_WORKER_CLASS: 'async', TSUNICORN_MAX_EVENT_LOOP_LAG: '1' },
      [
        'TSUNICORN_MAX_EVENT_LOOP_LAG=1: must be 0 with TSUNICORN_WORKER_CLASS (sync), where a request may keep the event loop busy',
      ],
    ],
  ];
  for (const [before, after, problems] of cases) {
    assert.throws(
      () => reread(before, after),
      (error) => {
        assert.ok(error instanceof ConfigError);
        assert.deepEqual(error.message.split('\n').sort(), problems.sort());
        return true;
      },
    );
  }
});

test('what the arbiter alone uses, and only at its start, is kept', () => {
  const kept = Object.values(SETTINGS).filter((setting) => 'atStart' in setting);
  for (const name of ['HOST', 'PORT', 'TSUNICORN_BIND', 'TSUNICORN_ADMIN_BIND', 'TSUNICORN_PIDFILE']) {
    assert.ok(
      kept.some((setting) => setting.name === name),
      name,
    );
  }
  assert.ok(kept.length < variablesOf(SETTINGS).length / 4);
});
