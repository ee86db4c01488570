/** What is in force when nothing is set, and what it depends on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadSettings } from '../../src/config/load.ts';
import type { Settings } from '../../src/config/settings.ts';
import type { BindAddress } from '../../src/platform/address.ts';

function load(env: Record<string, string>, isTerminal = false) {
  return loadSettings({ env, cwd: '/srv/app', isTerminal });
}

const MIB = 1024 ** 2;
const tcp = (host: string, port: number): BindAddress => ({ kind: 'tcp', host, port });
const unix = (path: string): BindAddress => ({ kind: 'unix', path });

/** Whether two types are the same one. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

test('the types that derive from the table are not wider than its parsers', () => {
  const same: [
    Same<Settings['workers'], 'auto' | number>,
    Same<Settings['workerHeap'], 'auto' | 'off' | number>,
    Same<Settings['maxWorkerRss'], 'auto' | 'off' | number>,
    Same<Settings['maxWorkerLifetime'], 'off' | number>,
    Same<Settings['workerClass'], 'async' | 'sync'>,
    Same<Settings['logLevel'], 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal'>,
    Same<Settings['logFormat'], 'json' | 'pretty'>,
    Same<Settings['bind'], BindAddress[]>,
    Same<Settings['adminBind'], BindAddress | undefined>,
    Same<Settings['maxWorkers'], number | undefined>,
    Same<Settings['drainDelay'], number>,
    Same<Settings['nodeOptions'], string[]>,
    Same<Settings['app'], string | undefined>,
    Same<Settings['chdir'], string>,
  ] = [true, true, true, true, true, true, true, true, true, true, true, true, true, true];
  assert.ok(same.every(Boolean));
});

test('the defaults', () => {
  const { settings, origins } = load({});
  assert.deepEqual(settings, {
    app: undefined,
    chdir: '/srv/app',
    reload: false,
    host: '0.0.0.0',
    port: 8000,
    bind: [tcp('0.0.0.0', 8000)],
    backlog: 2048,
    socketMode: 0o666,
    reusePort: true,
    sticky: 'off',
    workers: 'auto',
    workersPerCpu: 1,
    minWorkers: 1,
    maxWorkers: undefined,
    workerMemory: 128 * MIB,
    workerHeap: 'auto',
    workerClass: 'async',
    workerConnections: 0,
    resizeInterval: 5,
    instanceVar: undefined,
    nodeOptions: [],
    maxRequests: 0,
    maxRequestsJitter: 0,
    maxWorkerRss: 'auto',
    maxWorkerLifetime: 'off',
    crashLimit: 5,
    timeout: 30,
    bootTimeout: 60,
    waitListen: 'auto',
    waitReady: false,
    requestTimeout: 0,
    gracefulTimeout: 25,
    drainDelay: 0,
    keepalive: 75,
    headerTimeout: 10,
    bodyTimeout: 300,
    limitHeaderSize: 16384,
    limitRequestFields: 100,
    limitRequestLine: 8190,
    limitBodySize: 0,
    maxEventLoopLag: 0,
    logLevel: 'info',
    logFormat: 'json',
    errorLog: '-',
    accessLog: '-',
    accessLogFormat: { text: 'json', kind: 'json' },
    forwardedAllowIps: ['loopback'],
    adminBind: tcp('0.0.0.0', 10464),
    appMetrics: true,
    pidfile: undefined,
    user: undefined,
    group: undefined,
  } satisfies Settings);
  for (const [key, { kind, variable }] of Object.entries(origins)) {
    assert.equal(kind, key === 'drainDelay' ? 'auto' : 'default', key);
    assert.equal(variable, undefined);
  }
});

test('defaults that depend on their surroundings', () => {
  assert.equal(load({}, true).settings.logFormat, 'pretty');
  assert.equal(load({ KUBERNETES_SERVICE_HOST: '10.0.0.1' }).settings.drainDelay, 5);
  assert.equal(load({ KUBERNETES_SERVICE_HOST: '10.0.0.1', TSUNICORN_DRAIN_DELAY: '1' }).settings.drainDelay, 1);
  assert.deepEqual(load({ HOST: '::1', PORT: '3000' }).settings.bind, [tcp('::1', 3000)]);
  assert.deepEqual(load({ HOST: '[::1]' }).settings.bind, [tcp('::1', 8000)]);
  assert.deepEqual(load({ PORT: '3000', TSUNICORN_BIND: 'a:1' }).settings.bind, [tcp('a', 1)]);
  assert.deepEqual(load({ TSUNICORN_CHDIR: 'sub', TSUNICORN_BIND: 'unix:s' }).settings.bind, [unix('/srv/app/sub/s')]);
  assert.equal(load({ TSUNICORN_CHDIR: '/x', TSUNICORN_PIDFILE: 'p' }).settings.pidfile, '/x/p');
});
