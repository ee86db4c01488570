/** What can go wrong before the first worker serves. */
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { start } from '../support/server.ts';

const skip = process.getuid?.() === 0 ? false : 'only root can make a mount namespace';

for (const [variable, signal] of [
  ['TSUNICORN_BIND', 'SIGTERM'],
  ['TSUNICORN_ADMIN_BIND', 'SIGINT'],
] as const) {
  test(`${signal} while a name server does not answer for ${variable} is obeyed at once`, { skip }, async (t) => {
    const nameServer = dgram.createSocket('udp4').bind(53, '127.99.0.1');
    t.after(() => nameServer.close());
    await once(nameServer, 'listening');
    const directory = mkdtempSync(join(tmpdir(), 'tsunicorn-names-'));
    t.after(() => rmSync(directory, { recursive: true }));
    writeFileSync(join(directory, 'resolv.conf'), 'nameserver 127.99.0.1\noptions timeout:30 attempts:3\n');
    writeFileSync(join(directory, 'nsswitch.conf'), 'hosts: dns\n');
    const mounts = ['resolv', 'nsswitch'].map((name) => `mount --bind ${directory}/${name}.conf /etc/${name}.conf`);
    const wrapper = ['unshare', '--mount', 'sh', '-c', `${mounts.join(' && ')} && exec "$@"`, 'sh'];
    const asked = once(nameServer, 'message');
    const env = { [variable]: 'slow.example.com:12345', TSUNICORN_PIDFILE: 'server.pid' };
    const server = await start(t, { app: 'basic.js', env, wrapper });
    await asked;
    const at = performance.now();
    server.signal(signal);
    assert.equal((await server.exited).code, 0);
    assert.ok(performance.now() - at < 15_000, 'before the name server would have been given up');
    assert.match(server.log.at(-1)?.msg ?? '', /^stopped as asked, before it served/);
  });
}

test('serves where /proc is not mounted, and says what is missing', { skip }, async (t) => {
  const wrapper = ['unshare', '--mount', 'sh', '-c', 'umount --lazy /proc && exec "$@"', 'sh'];
  const env = { TSUNICORN_WORKERS: '2', TSUNICORN_ACCESS_LOG: 'off' };
  const server = await (await start(t, { app: 'basic.js', env, wrapper })).ready();
  assert.equal((await server.get('/')).body, 'hello');
  assert.equal(await server.metric('tsunicorn_workers{state="ready"}'), 2);
  assert.equal((await server.admin('/status')).status, 200);
  assert.equal(server.logged(/^\/proc is not mounted: /).length, 1);
  assert.equal(await server.stop(), 0);
});
