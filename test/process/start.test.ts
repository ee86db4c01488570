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
    assert.ok(performance.now() - at < 5_000);
    assert.match(server.log.at(-1)?.msg ?? '', /^stopped as asked, before it served/);
  });
}
