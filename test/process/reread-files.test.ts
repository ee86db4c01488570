/** HUP reads `_FILE`s again, as Kubernetes and Docker change them. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { start, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';

/** A mounted secret: files are links through `..data`, which is switched with rename(2) (Kubernetes' atomic writer). */
class Secret {
  readonly directory = mkdtempSync(join(tmpdir(), 'tsunicorn-secret-'));
  #version = 0;

  constructor(t: TestContext, files: Record<string, string>) {
    t.after(() => rmSync(this.directory, { recursive: true }));
    this.write(files);
    for (const name of Object.keys(files)) symlinkSync(`..data/${name}`, join(this.directory, name));
  }

  get env(): Record<string, string> {
    return {
      TSUNICORN_KEEPALIVE_FILE: join(this.directory, 'keepalive'),
      TSUNICORN_WORKERS_FILE: join(this.directory, 'workers'),
      TSUNICORN_BACKLOG_FILE: join(this.directory, 'backlog'),
    };
  }

  write(files: Record<string, string>): void {
    const version = `..${this.#version++}`;
    mkdirSync(join(this.directory, version));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(this.directory, version, name), text);
    symlinkSync(version, join(this.directory, '..new'));
    renameSync(join(this.directory, '..new'), join(this.directory, '..data'));
  }
}

const ENV = { TSUNICORN_WORKERS: undefined, TSUNICORN_ACCESS_LOG: 'off' };
const FILES = { keepalive: '61\n', workers: '1', backlog: '100' };

async function keepAlive(server: TestServer): Promise<string> {
  const { headers } = await server.get('/', { headers: { connection: 'keep-alive' } });
  return String(headers['keep-alive']);
}

/** HUP, until none of the old workers is left and there are `workers` new ones. */
async function hup(server: TestServer, workers: number): Promise<void> {
  const old = server.workerPids();
  server.signal('SIGHUP');
  await waitFor('new workers alone serve', () => {
    const pids = server.workerPids();
    return pids.length === workers && !pids.some((pid) => old.includes(pid));
  });
  await server.ready();
}

test('new values are in force with the new workers, and the log names those that need a restart', async (t) => {
  const secret = new Secret(t, FILES);
  const server = await (await start(t, { app: 'basic.js', env: { ...ENV, ...secret.env } })).ready();
  assert.equal(await keepAlive(server), 'timeout=61');

  await hup(server, 1);
  assert.deepEqual(server.logged('file'), [], 'nothing has changed');

  secret.write({ keepalive: '62\n', workers: '2', backlog: '200' });
  await hup(server, 2);
  await waitFor('new workers have the new value', async () => (await keepAlive(server)) === 'timeout=62');
  const said = server.logged('file').map(({ level, msg }) => `${level} ${msg}`);
  assert.deepEqual(said, [
    'info new workers get new values from files: TSUNICORN_WORKERS, TSUNICORN_KEEPALIVE',
    'warn TSUNICORN_BACKLOG has a new value in its file, which needs a restart',
  ]);
  const { settings } = JSON.parse((await server.admin('/status')).body);
  assert.equal(settings.TSUNICORN_KEEPALIVE.value, '62');
  assert.equal(settings.TSUNICORN_BACKLOG.value, '100');
  assert.equal(await server.stop(), 0);
});

test('a file that is missing, empty or wrong ends nothing: the reload has the old settings', async (t) => {
  const secret = new Secret(t, FILES);
  const server = await (await start(t, { app: 'basic.js', env: { ...ENV, ...secret.env } })).ready();
  secret.write({ keepalive: 'hunter2', workers: '' });
  await hup(server, 1);
  assert.equal(await keepAlive(server), 'timeout=61');
  const said = server.logged('the settings stay as they were: ').map(({ level, msg }) => `${level} ${msg}`);
  assert.equal(said.length, 3);
  assert.match(said.join('\n'), /^error .*TSUNICORN_WORKERS_FILE=\S+\/workers: the file is empty$/m);
  assert.match(said.join('\n'), /^error .*TSUNICORN_BACKLOG_FILE=\S+\/backlog: the file cannot be read: ENOENT/m);
  assert.match(said.join('\n'), /^error .*TSUNICORN_KEEPALIVE_FILE=\S+\/keepalive: its content must be a number/m);
  assert.ok(!server.stderr.includes('hunter2'));

  secret.write({ ...FILES, keepalive: '63' });
  await hup(server, 1);
  assert.equal(await keepAlive(server), 'timeout=63');
  assert.equal(await server.stop(), 0);
});

test('a new value that no worker boots with gives up the reload', async (t) => {
  const secret = new Secret(t, { options: '--no-warnings', directory: '/' });
  const files = {
    TSUNICORN_NODE_OPTIONS_FILE: join(secret.directory, 'options'),
    TSUNICORN_CHDIR_FILE: join(secret.directory, 'directory'),
  };
  const server = await (await start(t, { app: 'basic.js', env: { ...files, TSUNICORN_WORKERS: '1' } })).ready();
  secret.write({ options: '--no-such-option', directory: '/' });
  server.signal('SIGHUP');
  await server.untilLogged('the reload is given up');
  secret.write({ options: '--no-warnings', directory: '/no/such/directory' });
  server.signal('SIGHUP');
  await server.untilLogged('the reload is given up', 2);
  assert.equal((await server.get('/')).status, 200);
  secret.write({ options: '--no-warnings', directory: '/' });
  await hup(server, 1);
  assert.equal(await server.stop(), 0);
});
