/** Names that look like settings and are none. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { distance, loadSettings, suggest } from '../../src/config/load.ts';
import { SETTINGS } from '../../src/config/settings.ts';
import { variablesOf } from '../../src/config/table.ts';
import { ConfigError } from '../../src/errors.ts';

function refused(env: Readonly<Record<string, string | undefined>>): string[] {
  try {
    loadSettings({ env, cwd: '/srv/app', isTerminal: false });
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.message.split('\n');
  }
  return [];
}

test('names that are no settings', () => {
  const cases: [string, string | undefined][] = [
    ['TSUNICORN_WORKER', 'TSUNICORN_WORKERS'],
    ['TSUNICORN_LOGLEVEL', 'TSUNICORN_LOG_LEVEL'],
    ['TSUNICORN_REUSEPORT', 'TSUNICORN_REUSE_PORT'],
    ['TSUNICORN_TIMOUT_FILE', 'TSUNICORN_TIMEOUT_FILE'],
    ['TSUNICORN_PORT', 'PORT'],
    ['TSUNICORN_WEB_CONCURRENCY', 'WEB_CONCURRENCY'],
    ['TSUNICORN_THREADS', undefined],
    ['TSUNICORN_', undefined],
  ];
  for (const [name, meant] of cases) {
    const hint = meant === undefined ? '' : `; did you mean ${meant}?`;
    assert.deepEqual(refused({ [name]: 'a secret' }), [`${name}: is not a setting${hint}`]);
    assert.equal(suggest(name, SETTINGS), meant);
  }
  assert.deepEqual(refused({ TSUNICORN_WORKERZ: '' }).length, 1, 'also with an empty value');
  assert.deepEqual(refused({ TSUNICORN_WORKERZ: undefined, tsunicorn_x: '1', MY_TSUNICORN_X: '1', UNICORN: '1' }), []);
});

test('names with what an env file left before or behind them', () => {
  for (const [name, shown] of [
    ['export TSUNICORN_WORKERS', 'export TSUNICORN_WORKERS'],
    ['\uFEFFTSUNICORN_WORKERS', '\\ufeffTSUNICORN_WORKERS'],
    ['"TSUNICORN_WORKERS', '"TSUNICORN_WORKERS'],
    [' TSUNICORN_WORKERS', ' TSUNICORN_WORKERS'],
    ['TSUNICORN_WORKERS ', 'TSUNICORN_WORKERS '],
  ] as const) {
    assert.deepEqual(refused({ [name]: '4' }), [`${shown}: is not a setting; did you mean TSUNICORN_WORKERS?`]);
  }
});

test("the variables of Kubernetes' service links are left alone, and nothing else", () => {
  const links = {
    TSUNICORN_SERVICE_HOST: '10.0.0.7',
    TSUNICORN_SERVICE_PORT: '80',
    TSUNICORN_SERVICE_PORT_HTTP: '80',
    TSUNICORN_PORT: 'tcp://10.0.0.7:80',
    TSUNICORN_PORT_80_TCP: 'tcp://10.0.0.7:80',
    TSUNICORN_PORT_80_TCP_PROTO: 'tcp',
    TSUNICORN_PORT_80_TCP_PORT: '80',
    TSUNICORN_PORT_80_TCP_ADDR: '10.0.0.7',
    TSUNICORN_ADMIN_SERVICE_HOST: '10.0.0.8',
    TSUNICORN_ADMIN_PORT: 'tcp://10.0.0.8:80',
  };
  assert.deepEqual(refused(links), []);
  assert.deepEqual(refused({ ...links, TSUNICORN_PORTS: '1', TSUNICORN_OTHER_PORT_80_TCP: '1' }), [
    'TSUNICORN_PORTS: is not a setting; did you mean PORT?',
    'TSUNICORN_OTHER_PORT_80_TCP: is not a setting',
  ]);
  const { TSUNICORN_SERVICE_HOST: _, ...withoutHost } = links;
  assert.equal(refused(withoutHost).length, 7);
});

test('distance', () => {
  const cases: [string, string, number][] = [
    ['', '', 0],
    ['', 'abc', 3],
    ['kitten', 'sitting', 3],
    ['flaw', 'lawn', 2],
    ['same', 'same', 0],
  ];
  for (const [a, b, away] of cases) {
    assert.equal(distance(a, b), away);
    assert.equal(distance(b, a), away);
  }
});

test('variablesOf(SETTINGS) knows names, aliases and their _FILE forms', () => {
  const names = variablesOf(SETTINGS);
  for (const name of ['TSUNICORN_BIND', 'WEB_CONCURRENCY', 'PORT', 'HOST_FILE', 'FORWARDED_ALLOW_IPS_FILE']) {
    assert.ok(names.includes(name), name);
  }
  assert.equal(new Set(names).size, names.length);
  assert.ok(!names.includes('TSUNICORN_RELOADS'));
});
