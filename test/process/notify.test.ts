/** A service manager that listens to tsunicorn: sd_notify(3). */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { start } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

const NATIVE = fileURLToPath(new URL('../../dist/platform/native/tsunicorn.node', import.meta.url));
const skip =
  (!existsSync(NATIVE) && 'the native part is not built: no C compiler, or no node-api-headers') ||
  (spawnSync('perl', ['-v']).error !== undefined && 'there is no perl to play the manager');

const MANAGER = `use Socket; socket(S, AF_UNIX, SOCK_DGRAM, 0); bind(S, pack_sockaddr_un($ARGV[0])) or die $!;
  $| = 1; while (defined recv(S, $m, 4096, 0)) { $m =~ s/\\n/ /g; print "$m\\n"; }`;

interface Manager {
  readonly socket: string;
  /** One datagram a line. */
  lines(): string[];
}

async function startManager(t: TestContext): Promise<Manager> {
  const directory = mkdtempSync(join(tmpdir(), 'tsunicorn-notify-'));
  const socket = join(directory, 'notify');
  const perl = spawn('perl', ['-e', MANAGER, socket], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => {
    perl.kill();
    rmSync(directory, { recursive: true });
  });
  let text = '';
  perl.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  await waitFor('the manager listens', () => existsSync(socket));
  return { socket, lines: () => text.split('\n').slice(0, -1) };
}

/** The state changes alone. */
function statesIn({ lines }: Manager): string {
  return lines()
    .flatMap((line) => /^(READY|RELOADING|STOPPING)=1/.exec(line)?.[1] ?? [])
    .join(' ');
}

test('READY, RELOADING, STATUS and STOPPING; workers know nothing of it', { skip }, async (t) => {
  const manager = await startManager(t);
  const until = (states: string) => waitFor(states, () => statesIn(manager) === states, { state: manager.lines });
  const env = { NOTIFY_SOCKET: manager.socket, WATCHDOG_USEC: '60000000', WATCHDOG_PID: '1' };
  const server = await (await start(t, { app: 'environment.js', env })).ready();
  await until('READY');
  assert.ok(manager.lines().includes('STATUS=starting: 1 of 2 workers are ready'));
  assert.doesNotMatch((await server.get('/')).body, /NOTIFY|WATCHDOG/);

  const before = process.hrtime.bigint() / 1000n;
  server.signal('SIGHUP');
  await until('READY RELOADING READY');
  const draining = await server.metric('tsunicorn_workers{state="draining"}');
  const gone = await server.metric('tsunicorn_worker_restarts_total{reason="reload"}');
  assert.ok(draining + gone >= 2, 'READY after the last worker is replaced'); // one may be in both
  const stamp = BigInt(/MONOTONIC_USEC=(\d+)/.exec(manager.lines().join())?.[1] ?? 0);
  assert.ok(before < stamp && stamp < process.hrtime.bigint() / 1000n);

  // Parked is no reload, and what HUP makes of it is one.
  server.signal('SIGWINCH');
  await waitFor('parked', () => manager.lines().some((line) => line.startsWith('STATUS=workers are parked')));
  assert.equal(statesIn(manager), 'READY RELOADING READY');
  server.signal('SIGHUP');
  await until('READY RELOADING READY RELOADING READY');
  assert.equal(await server.stop(), 0);
  await until('READY RELOADING READY RELOADING READY STOPPING');
  assert.ok(!manager.lines().includes('WATCHDOG=1'), 'it was for another process');
});

test('a reload that is given up ends too', { skip }, async (t) => {
  const manager = await startManager(t);
  const env = { NOTIFY_SOCKET: manager.socket, WATCHDOG_USEC: '200000' };
  const server = await start(t, { env: { ...env, TSUNICORN_APP: 'app.js' } });
  writeFileSync(join(server.directory, 'app.js'), 'module.exports = (q, s) => s.end("good")');
  await server.ready();
  writeFileSync(join(server.directory, 'app.js'), 'throw new Error("bad")');
  server.signal('SIGHUP');
  await server.untilLogged('the reload is given up');
  await waitFor('it is over', () => statesIn(manager) === 'READY RELOADING READY');
  await waitFor('signs of life', () => manager.lines().filter((line) => line === 'WATCHDOG=1').length > 3);
  assert.equal(await server.stop(), 0);
});
