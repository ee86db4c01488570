/** Debian's supervisord with docker/supervisor/tsunicorn.conf. See docs/systemd.md. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, type TestContext, test } from 'node:test';
import { childrenOf, freePort, isRunning, request } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';
import { must, run, skipReason } from './support/machine.ts';
import { install, installedApp, read, temporary } from './support/service.ts';

const skip = skipReason();
const PROGRAM = 'docker/supervisor/tsunicorn.conf';
const APP = 'module.exports = (q, s) => s.end();';
/** With the Node.js of this test; nothing else of the environment gets to the server. */
const PATH = process.env.PATH ?? '';

before(() => (skip ? undefined : install('supervisor')));

interface Supervisor {
  readonly port: number;
  readonly log: () => string;
  control(...args: string[]): Promise<string>;
  /** `RUNNING`, `EXITED` and so on: supervisorctl's word for the program; `|` between several. */
  until(state: string, seconds?: number): Promise<void>;
  /** The arbiter, once it is ready. */
  ready(): Promise<number>;
}

/** supervisord with the program as it is in the repository, but for paths and ports. */
async function supervise(
  t: TestContext,
  { env = {}, source = APP }: { env?: object; source?: string },
): Promise<Supervisor> {
  const directory = temporary(t);
  const app = installedApp(join(directory, 'app'), source);
  const [port, adminPort] = [await freePort(), await freePort()];
  const program = read(PROGRAM).replaceAll('/srv/app', app).replaceAll('/var/log/supervisor', directory);
  writeFileSync(join(directory, 'tsunicorn.conf'), program.replaceAll('10464', String(adminPort)));
  const configuration = join(directory, 'supervisord.conf');
  const socket = join(directory, 'supervisor.sock');
  const factory = 'supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface';
  writeFileSync(
    configuration,
    `[unix_http_server]\nfile=${socket}\n[supervisord]\nlogfile=${directory}/supervisord.log\n` +
      `pidfile=${directory}/supervisord.pid\nchildlogdir=${directory}\n[rpcinterface:supervisor]\n${factory}\n` +
      `[supervisorctl]\nserverurl=unix://${socket}\n[include]\nfiles=${directory}/tsunicorn.conf\n`,
  );
  const child = spawn('supervisord', ['-n', '-c', configuration], {
    stdio: 'ignore',
    env: { PATH, TSUNICORN_BIND: `127.0.0.1:${port}`, TSUNICORN_WORKERS: '2', ...env },
  });
  const ended = new Promise((resolve) => child.once('close', resolve));
  t.after(() => {
    child.kill(); // it stops its program first
    return ended;
  });

  const log = (): string => {
    const files = ['supervisord.log', 'tsunicorn.log'].map((name) => join(directory, name));
    return files.map((file) => (existsSync(file) ? readFileSync(file, 'utf8') : '')).join('');
  };
  const control = async (...args: string[]): Promise<string> => {
    return (await run('supervisorctl', ['-c', configuration, ...args], { cwd: directory })).stdout.trim();
  };
  const until = async (state: string, seconds = 40): Promise<void> => {
    const reached = async () => state.split('|').includes((await control('status', 'tsunicorn')).split(/\s+/)[1] ?? '');
    await waitFor(state, reached, { seconds, state: log });
  };
  const admin = (path: string) => request({ host: '127.0.0.1', port: adminPort, path });
  const ready = async (): Promise<number> => {
    await waitFor(
      'ready',
      () =>
        admin('/readyz').then(
          (answer) => answer.status === 200,
          () => false,
        ),
      { state: log },
    );
    return Number(await control('pid', 'tsunicorn'));
  };
  return { port, log, control, until, ready };
}

test('supervisord: start, reload, crash, stop', { skip }, async (t) => {
  const source =
    'module.exports = (q, s) => setTimeout(() => s.end(String(process.getuid())), q.url === "/slow" ? 3000 : 0);';
  const { port, log, control, until, ready } = await supervise(t, { source });
  const get = (path: string) => request({ host: '127.0.0.1', port, path });
  await until('RUNNING');
  const first = await ready();
  assert.equal((await get('/')).body, (await must('id', ['-u', 'www-data'])).trim());

  const workers = childrenOf(first);
  assert.equal(await control('signal', 'HUP', 'tsunicorn'), 'tsunicorn: signalled');
  await waitFor('other workers', () => workers.every((pid) => !isRunning(pid)), { state: log });
  assert.equal(await ready(), first, 'the arbiter stays');

  process.kill(first, 'SIGKILL');
  await waitFor('it is started again', async () => Number(await control('pid', 'tsunicorn')) > 0 && !isRunning(first));
  await waitFor('another arbiter', async () => (await ready()) !== first, { state: log });
  assert.match(log(), /exited: tsunicorn \(terminated by SIGKILL; not expected\)/);

  await until('RUNNING');
  const slow = get('/slow');
  const again = await ready();
  await waitFor('the request is in flight', async () => {
    await control('signal', 'USR2', 'tsunicorn');
    return /"inFlight":1\b/.test(log());
  });
  assert.equal(await control('stop', 'tsunicorn'), 'tsunicorn: stopped');
  assert.equal((await slow).status, 200);
  assert.match(log(), /stopped: tsunicorn \(exit status 0\)/);
  assert.ok(!isRunning(again));
});

const LATER = 'await new Promise((done) => setTimeout(done, 3000));';
// On a slow machine bad settings may take longer than startsecs to be seen: no more starts either way.
const ends = [
  { what: 'bad settings', env: { TSUNICORN_WORKERS: 'many' }, state: 'FATAL|EXITED', status: /exit status 78; / },
  {
    what: 'no app, seen late',
    source: `${LATER} export default 5;`,
    state: 'EXITED',
    status: /exit status 4; expected/,
  },
  { what: 'a stop from elsewhere', signal: true, state: 'EXITED', status: /exit status 0; expected/ },
];

for (const { what, env, source, signal, state, status } of ends) {
  test(`supervisord, ${what}: ${state}`, { skip }, async (t) => {
    const supervisor = await supervise(t, { ...(env && { env }), ...(source && { source }) });
    if (signal) {
      await supervisor.until('RUNNING');
      process.kill(await supervisor.ready(), 'SIGTERM');
    }
    await supervisor.until(state);
    assert.match(supervisor.log(), status);
  });
}
