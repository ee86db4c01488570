/** Off containers: the units of systemd, Podman and supervisord, and socket activation. See docs/systemd.md. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { loadSettings } from '../../src/config/load.ts';
import { SETTINGS } from '../../src/config/settings.ts';
import { variablesOf } from '../../src/config/table.ts';
import { childrenOf, freePort, isRunning, request } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';
import { must, ROOT, run, skipReason } from './support/machine.ts';
import { install, installedApp, quadlet, read, settingIn, temporary } from './support/service.ts';

const skip = skipReason();
const UNITS = [
  'docker/systemd/tsunicorn.service',
  'docker/systemd/tsunicorn.socket',
  'docker/systemd/tsunicorn.container',
] as const;
const PROGRAM = 'docker/supervisor/tsunicorn.conf';
const APP = 'module.exports = (q, s) => setTimeout(() => s.end(String(process.pid)), 20);';
/** Not the developer's own settings, and the Node.js of this test. */
const PATH = process.env.PATH ?? '';

before(() => (skip ? undefined : install('systemd')));

test('only settings that exist are named', () => {
  const known = new Set(variablesOf(SETTINGS));
  for (const file of [...UNITS, PROGRAM, 'docs/systemd.md']) {
    const names = read(file).match(/\bTSUNICORN_[A-Z_]*[A-Z]\b/g) ?? [];
    assert.ok(names.length > 0, file);
    for (const name of names) assert.ok(known.has(name), `${file}: ${name}`);
  }
});

test('managers wait longer than a stop or a boot takes, and retry no lost cause', () => {
  const [service, , container] = UNITS;
  const { gracefulTimeout, bootTimeout } = loadSettings({ env: {}, cwd: '/app', isTerminal: false }).settings;
  const podman = Number(/^PodmanArgs=--stop-timeout=(\d+)$/m.exec(read(container))?.[1]);
  assert.ok(podman > gracefulTimeout && Number(settingIn(container, 'TimeoutStopSec')) > podman);
  assert.ok(Number(settingIn(service, 'TimeoutStopSec')) > gracefulTimeout);
  assert.ok(Number(settingIn(PROGRAM, 'stopwaitsecs')) > gracefulTimeout);
  for (const unit of [service, container]) {
    assert.ok(Number(settingIn(unit, 'TimeoutStartSec')) > bootTimeout);
    assert.equal(settingIn(unit, 'RestartPreventExitStatus'), '4 78');
  }
  assert.equal(settingIn(PROGRAM, 'exitcodes'), '0,4,78');
});

test('systemd-analyze verify, with what Quadlet makes of the container unit', { skip }, async (t) => {
  const directory = temporary(t);
  const [service, socket, container] = ['tsunicorn.service', 'tsunicorn.socket', 'quadlet/tsunicorn.container'].map(
    (name) => join(directory, name),
  ) as [string, string, string];
  writeFileSync(service, read(UNITS[0]).replaceAll('/srv/app', installedApp(directory, APP)));
  writeFileSync(socket, read(UNITS[1]));
  mkdirSync(join(directory, 'quadlet'));
  writeFileSync(container, read(UNITS[2]));
  const env = { QUADLET_UNIT_DIRS: join(directory, 'quadlet') };
  const generated = await run(await quadlet(), ['-dryrun'], { env });
  assert.equal(generated.code, 0, generated.stderr);
  assert.match(generated.stdout, /^Type=notify$/m);
  assert.match(generated.stdout, /^ExecStart=.* --sdnotify=container .* --read-only .* --stop-timeout=30 /m);
  const made = join(directory, 'tsunicorn-container.service');
  writeFileSync(made, generated.stdout.replace(/^---.*---$/m, ''));

  const verify = async (...units: string[]): Promise<string[]> => {
    const { stdout, stderr } = await run('systemd-analyze', ['verify', '--man=no', '--recursive-errors=one', ...units]);
    // Other packages' units, and podman where it is not installed.
    const foreign = /^\/(?:usr\/)?lib\/systemd\/|\/usr\/bin\/podman is not executable/;
    return `${stdout}${stderr}`.split('\n').filter((line) => line && !foreign.test(line));
  };
  assert.deepEqual(await verify(service, socket, made), []);

  const bad = join(directory, 'bad.service');
  writeFileSync(bad, read(UNITS[0]).replace('\nWatchdogSec=', '\nWatchdogSecs='));
  const said = (await verify(bad)).join('\n');
  assert.match(said, /WatchdogSecs/, 'it finds a mistake');
  assert.match(said, /\/srv\/app\/node_modules\/.bin\/tsunicorn is not executable/);
});

test('the sandbox is tight: systemd-analyze security', { skip }, async () => {
  // Exposure from 0 to 10, here in tenths. A service without a sandbox has 9.6.
  await must('systemd-analyze', ['security', '--offline=true', '--threshold=20', '--no-pager', join(ROOT, UNITS[0])]);
});

/**
 * systemd-socket-activate becomes the command when the first connection comes, which so far is a shell that keeps
 * the socket and starts the service again whenever it ends, each time for the next connection: the part of PID 1.
 */
const KEEPER = `while :; do sh -c 'LISTEN_PID=$$ LISTEN_FDS=1 exec systemd-socket-activate "$@"' sh "$@"; done`;

test('socket activation: the first request starts the server, restarts lose none', { skip }, async (t) => {
  const directory = installedApp(temporary(t), APP);
  const [port, adminPort] = [await freePort(), await freePort()];
  const variables = { PATH, TSUNICORN_ADMIN_BIND: `127.0.0.1:${adminPort}`, TSUNICORN_WORKERS: '2' };
  const setenv = Object.entries(variables).map(([name, value]) => `--setenv=${name}=${value}`);
  const inner = [...setenv, 'node_modules/.bin/tsunicorn'];
  const args = [`--listen=127.0.0.1:${port}`, ...setenv, 'sh', '-c', KEEPER, 'sh', ...inner];
  const keeper = spawn('systemd-socket-activate', args, { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] });
  const pid = keeper.pid ?? 0;
  let log = '';
  for (const stream of [keeper.stdout, keeper.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      log += text;
    });
  }
  t.after(() => {
    const left = [...childrenOf(pid).flatMap(childrenOf), ...childrenOf(pid)];
    for (const member of [pid, ...left]) if (isRunning(member)) process.kill(member, 'SIGKILL');
  });
  const starts = (): number => log.split('listening on').length - 1;
  const state = (): string => log.slice(-4000);

  await waitFor('systemd-socket-activate listens', () => log.includes('Listening on'), { state });
  assert.deepEqual(childrenOf(pid), [], 'nothing runs yet');
  assert.match((await request({ host: '127.0.0.1', port, path: '/' })).body, /^\d+$/);
  assert.equal(starts(), 1, log);

  // Eight clients with a connection for each request, without a pause and without a second try.
  let [stopped, answered] = [false, 0];
  const client = async (): Promise<void> => {
    while (!stopped) {
      const { status } = await request({ host: '127.0.0.1', port, path: '/', headers: { connection: 'close' } });
      assert.equal(status, 200);
      answered += 1;
    }
  };
  const clients = Promise.all(Array.from({ length: 8 }, client));
  clients.catch(() => {}); // it is awaited below
  try {
    for (const restart of [1, 2, 3]) {
      const [server = 0] = childrenOf(pid);
      const count = answered;
      await waitFor('requests are served', () => answered > count + 50, { state });
      process.kill(server, 'SIGTERM');
      await waitFor('the next server', () => !isRunning(server) && starts() > restart, { seconds: 40, state });
    }
    const count = answered;
    await waitFor('the last server serves', () => answered > count + 50, { state });
  } finally {
    stopped = true;
  }
  await clients;
  assert.equal(starts(), 4);
});
