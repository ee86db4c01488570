import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LoadedNative, Native } from '../../src/platform/native/native.ts';
import { Notifier, type ServiceState } from '../../src/platform/notify.ts';

class Manager {
  readonly sent: string[] = [];
  readonly warnings: string[] = [];
  errno = 0;

  notifier(env: Record<string, string>, loaded?: LoadedNative): Notifier {
    const native = {
      notify: (path: string, message: string) => {
        this.sent.push(`${path} ${message.replaceAll('\n', ' ')}`);
        return this.errno;
      },
    } as Native;
    return new Notifier({
      loaded: loaded ?? { native },
      env,
      pid: 42,
      log: { warn: (text: string) => this.warnings.push(text) } as never,
      monotonic: () => 12_345_678_999n,
    });
  }
}

const RELOADING = 'RELOADING=1 MONOTONIC_USEC=12345678';
/** Updates, and the datagrams that they cause. */
const STORIES: readonly [string, readonly [ServiceState, string][], readonly string[]][] = [
  [
    'start, reload, stop',
    [
      ['starting', 'starting: 0 of 2'],
      ['ready', '2 of 2'],
      ['reloading', '2 of 2'],
      ['ready', '2 of 2'],
      ['stopping', 'draining'],
    ],
    ['STATUS=starting: 0 of 2', 'READY=1 STATUS=2 of 2', RELOADING, 'READY=1', 'STOPPING=1 STATUS=draining'],
  ],
  [
    'nothing is said twice',
    [
      ['ready', 'a'],
      ['ready', 'a'],
      ['ready', 'b'],
      ['ready', 'b'],
    ],
    ['READY=1 STATUS=a', 'STATUS=b'],
  ],
  [
    'a reload before the first readiness is none',
    [
      ['starting', 'a'],
      ['reloading', 'a'],
      ['ready', 'a'],
    ],
    ['STATUS=a', 'READY=1'],
  ],
  [
    'a stop is final',
    [
      ['ready', 'a'],
      ['stopping', 'a'],
      ['ready', 'a'],
      ['reloading', 'a'],
    ],
    ['READY=1 STATUS=a', 'STOPPING=1'],
  ],
  ['a status is one line', [['starting', 'a\nREADY=1']], ['STATUS=a READY=1']],
];

for (const [what, updates, expected] of STORIES) {
  test(what, () => {
    const manager = new Manager();
    const notifier = manager.notifier({ NOTIFY_SOCKET: '/run/notify' });
    for (const [state, status] of updates) notifier.update(state, status);
    assert.deepEqual(
      manager.sent,
      expected.map((message) => `/run/notify ${message}`),
    );
    assert.deepEqual(manager.warnings, []);
  });
}

test('without NOTIFY_SOCKET nothing is sent, and nothing is missed', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  for (const loaded of [undefined, { problem: 'not there' }] as const) {
    const manager = new Manager();
    manager.notifier({ WATCHDOG_USEC: '1000000' }, loaded).update('ready', 'a');
    t.mock.timers.tick(10_000);
    assert.deepEqual([manager.sent, manager.warnings], [[], []]);
  }
});

test('what cannot be sent is said once, with the cause', () => {
  const manager = new Manager();
  const env = { NOTIFY_SOCKET: '@gone' };
  manager.errno = 111;
  const notifier = manager.notifier(env);
  notifier.update('ready', 'a');
  notifier.update('stopping', 'b');
  assert.equal(manager.sent.length, 2, 'it goes on trying');
  assert.deepEqual(manager.warnings, ['cannot notify the service manager at NOTIFY_SOCKET=@gone: ECONNREFUSED']);

  const without = new Manager();
  without.notifier(env, { problem: 'no such file' }).update('ready', 'a');
  assert.match(without.warnings[0] ?? '', /no such file.*npm run build.*Type=exec/);
});

const WATCHDOGS: readonly [string, Record<string, string>, number][] = [
  ['half of the time, for us', { WATCHDOG_USEC: '4000000', WATCHDOG_PID: '42' }, 5],
  ['no pid: for us', { WATCHDOG_USEC: '4000000' }, 5],
  ['for another process', { WATCHDOG_USEC: '4000000', WATCHDOG_PID: '41' }, 0],
  ['off', { WATCHDOG_PID: '42' }, 0],
  ['no number', { WATCHDOG_USEC: 'soon' }, 0],
  ['zero', { WATCHDOG_USEC: '0' }, 0],
];

for (const [what, env, count] of WATCHDOGS) {
  test(`watchdog: ${what}`, (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] });
    const manager = new Manager();
    const notifier = manager.notifier({ NOTIFY_SOCKET: '/n', ...env });
    t.mock.timers.tick(10_000);
    assert.deepEqual(manager.sent, Array(count).fill('/n WATCHDOG=1'));
    notifier.stop();
    t.mock.timers.tick(10_000);
    assert.equal(manager.sent.length, count);
  });
}
