/** The forms of `tsunicorn config`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadSettings, loadTable } from '../../src/config/load.ts';
import { string } from '../../src/config/parsers.ts';
import { type ConfigFormat, type Effective, renderTable } from '../../src/config/render.ts';
import { SETTINGS } from '../../src/config/settings.ts';
import type { Table } from '../../src/config/table.ts';

const readFile = () => '2\n';

function load(env: Record<string, string>) {
  return loadSettings({ env, cwd: '/srv/app', isTerminal: false, readFile });
}

function render(env: Record<string, string>, form: ConfigFormat, effective: Effective = {}): string {
  return renderTable(SETTINGS, load(env), effective, form);
}

/** As `docker run --env-file` reads it. `all`: with the lines that are commented out. */
function readEnvFile(text: string, all: boolean): Record<string, string> {
  const lines = text.split('\n').filter((line) => (all ? /^#?\w+=/ : /^\w+=/).test(line));
  return Object.fromEntries(
    lines.map((line) => {
      const bare = line.replace(/^#/, '');
      const equals = bare.indexOf('=');
      return [bare.slice(0, equals), bare.slice(equals + 1)];
    }),
  );
}

const RICH = {
  HOST: '::1',
  WEB_CONCURRENCY: '3',
  TSUNICORN_APP: 'src/app.ts:make()',
  TSUNICORN_CHDIR: 'a dir',
  TSUNICORN_BIND: 'unix:run/a-{slot}.sock,[::1]:80,fd://3',
  TSUNICORN_SOCKET_MODE: '600',
  TSUNICORN_REUSE_PORT: 'no',
  TSUNICORN_WORKER_MEMORY: '1.5G',
  TSUNICORN_WORKER_HEAP: '300MB',
  TSUNICORN_NODE_OPTIONS: `--title "it's # a \\"b\\"" --import ./x.js ''`,
  TSUNICORN_TIMEOUT: '0.5',
  TSUNICORN_DRAIN_DELAY: 'Auto',
  TSUNICORN_LIMIT_BODY_SIZE: '10000',
  TSUNICORN_LOG_LEVEL: 'CRITICAL',
  TSUNICORN_ACCESS_LOG: 'log/access.log',
  TSUNICORN_ERROR_LOG: 'off.log',
  FORWARDED_ALLOW_IPS: '10.0.0.0/8, LOOPBACK',
  TSUNICORN_ADMIN_BIND: 'off',
  TSUNICORN_CRASH_LIMIT_FILE: '/run/two',
};

test('the env form reads back as the same settings', () => {
  for (const env of [{}, RICH]) {
    const { settings } = load(env);
    for (const all of [false, true]) {
      const read = readEnvFile(render(env, 'env'), all);
      assert.deepEqual(load(read).settings, settings);
      if (all) assert.equal(Object.keys(read).length, Object.keys(SETTINGS).length);
    }
  }
});

test('the env form comments out what is not set, and keeps "auto"', () => {
  assert.deepEqual(readEnvFile(render({}, 'env'), false), {});
  const text = render({ TSUNICORN_TIMEOUT: '60', TSUNICORN_DRAIN_DELAY: 'auto', WEB_CONCURRENCY: '2' }, 'env');
  assert.deepEqual(readEnvFile(text, false), {
    TSUNICORN_TIMEOUT: '60',
    TSUNICORN_DRAIN_DELAY: 'auto',
    TSUNICORN_WORKERS: '2',
  });
  assert.match(text, /^## Application\n\n# The module to serve/);
  assert.match(text, /\n# The smallest number of workers that `auto` may choose\.\n#TSUNICORN_MIN_WORKERS=1\n\n/);
  assert.match(render({ KUBERNETES_SERVICE_HOST: 'x' }, 'env'), /\n#TSUNICORN_DRAIN_DELAY=auto\n/);
  for (const line of text.split('\n')) assert.ok(line.length <= 100, line);
});

test('the env form leaves out what sizing made of a setting', () => {
  const sized: Effective = { workers: '2' };
  assert.match(render({ TSUNICORN_WORKERS: 'auto' }, 'env', sized), /^TSUNICORN_WORKERS=auto$/m);
});

const EFFECTIVE: Effective = { workers: '2', workerHeap: '300MiB' };
const GIVEN = {
  TSUNICORN_TIMEOUT: '60',
  FORWARDED_ALLOW_IPS: '10.0.0.0/8,loopback',
  TSUNICORN_CRASH_LIMIT_FILE: '/run/two',
};

test('the text form is an aligned table', () => {
  const lines = render(GIVEN, 'text', EFFECTIVE).split('\n');
  assert.equal(lines.pop(), '');
  assert.equal(lines.length, Object.keys(SETTINGS).length + 1);
  const [head = ''] = lines;
  const columns = [head.indexOf('VALUE'), head.indexOf('ORIGIN')];
  for (const line of lines) {
    for (const column of columns) assert.match(line.slice(column - 1), /^ \S/, line);
  }
  const cells = new Map(lines.map((line) => [line.split(/ +/)[0], line.split(/ {2,}/).slice(1)]));
  const expected: [string, string, string][] = [
    ['TSUNICORN_APP', '(none)', 'default'],
    ['TSUNICORN_NODE_OPTIONS', '(none)', 'default'],
    ['TSUNICORN_BIND', '0.0.0.0:8000', 'default'],
    ['TSUNICORN_SOCKET_MODE', '0666', 'default'],
    ['TSUNICORN_WORKERS', '2', 'cgroup'],
    ['TSUNICORN_WORKER_HEAP', '300MiB', 'cgroup'],
    ['TSUNICORN_WORKER_MEMORY', '128MiB', 'default'],
    ['TSUNICORN_TIMEOUT', '60', 'env'],
    ['TSUNICORN_DRAIN_DELAY', '0', 'auto'],
    ['TSUNICORN_CRASH_LIMIT', '2', 'file TSUNICORN_CRASH_LIMIT_FILE'],
    ['TSUNICORN_FORWARDED_ALLOW_IPS', '10.0.0.0/8,loopback', 'env FORWARDED_ALLOW_IPS'],
  ];
  for (const [name, value, origin] of expected) assert.deepEqual(cells.get(name), [value, origin], name);
});

test('the json form', () => {
  const all = JSON.parse(render(GIVEN, 'json', EFFECTIVE));
  assert.deepEqual(
    Object.keys(all),
    Object.values(SETTINGS).map(({ name }) => name),
  );
  assert.deepEqual(all.TSUNICORN_APP, { value: null, origin: 'default' });
  assert.deepEqual(all.TSUNICORN_WORKERS, { value: '2', origin: 'cgroup' });
  assert.deepEqual(all.TSUNICORN_TIMEOUT, { value: '60', origin: 'env', variable: 'TSUNICORN_TIMEOUT' });
  assert.deepEqual(all.TSUNICORN_CRASH_LIMIT, { value: '2', origin: 'file', variable: 'TSUNICORN_CRASH_LIMIT_FILE' });
});

test('the markdown form', () => {
  const lines = render({ ...GIVEN, TSUNICORN_APP: 'a|b' }, 'markdown', EFFECTIVE).split('\n');
  assert.deepEqual(lines.slice(0, 3), [
    '| Variable | Value | Origin |',
    '| --- | --- | --- |',
    '| `TSUNICORN_APP` | `a\\|b` | env |',
  ]);
  assert.ok(lines.includes('| `TSUNICORN_WORKERS` | `2` | cgroup |'));
  assert.ok(lines.includes('| `TSUNICORN_MAX_WORKERS` | none | default |'));
});

test('a secret is shown in no form', () => {
  const token = { section: 'Admin', parser: string('any text'), text: 'A token.', secret: true } as const;
  const table = {
    given: { ...token, name: 'TSUNICORN_GIVEN' },
    filed: { ...token, name: 'TSUNICORN_FILED', alias: 'FILED' },
    unset: { ...token, name: 'TSUNICORN_UNSET' },
  } as const satisfies Table;
  const env = { TSUNICORN_GIVEN: 'hunter2', FILED_FILE: '/run/token' };
  const loaded = loadTable(table, { env, cwd: '/', isTerminal: false, readFile: () => 'hunter2' });
  assert.deepEqual(loaded.settings, { given: 'hunter2', filed: 'hunter2', unset: undefined });
  for (const form of ['text', 'json', 'markdown', 'env'] as const) {
    const text = renderTable(table, loaded, {}, form);
    assert.doesNotMatch(text, /hunter2/, form);
    assert.match(text, /\*\*\*/, form);
  }
  assert.deepEqual(readEnvFile(renderTable(table, loaded, {}, 'env'), true), {
    TSUNICORN_GIVEN: '***',
    TSUNICORN_FILED: '***',
    TSUNICORN_UNSET: '',
  });
  assert.deepEqual(readEnvFile(renderTable(table, loaded, {}, 'env'), false), {}, 'the redacted form is commented out');
});
