import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, openSync, readdirSync, rmSync } from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { bindTcp, listenOnHandle, REUSE_PORT } from '../../src/platform/socket-handle.ts';
import { inheritedSockets } from '../../src/platform/sockets.ts';
import {
  accept,
  connect,
  listeners,
  listening,
  portOf,
  refuses,
  socketPath,
  tcp,
  temporary,
  undo,
  unix,
} from './sockets-kit.ts';

describe('TCP', () => {
  it('has one socket a slot, all on the same port', async () => {
    const bound = listeners();
    await bound.bind([tcp()], 3);
    const found = [0, 1, 2].map((slot) => bound.of(slot));
    assert.deepEqual(
      found.map((l) => l.map(({ key, slot }) => [key, slot])),
      [[['0/0', 0]], [['0/1', 1]], [['0/2', 2]]],
    );
    const ports = found.map(([l]) => portOf(l));
    assert.equal(new Set(ports).size, 1);
    assert.equal(new Set(found.map(([l]) => l?.handle.fd)).size, 3);
    assert.deepEqual(bound.urls, [`http://127.0.0.1:${ports[0]}`]);
  });

  it('accepts on the socket of each slot', async () => {
    const bound = listeners();
    await bound.bind([tcp()], 2);
    const port = portOf(bound.get('0/0'));
    accept(bound.get('0/0'), '0');
    accept(bound.get('0/1'), '1');
    const words = new Set<string>();
    for (let i = 0; i < 60; i++) words.add(await connect({ port, host: '127.0.0.1' }));
    assert.deepEqual([...words].toSorted(), ['0', '1']);
  });

  it('has one socket for all without SO_REUSEPORT', async () => {
    const bound = listeners(false);
    await bound.bind([tcp()], 3);
    assert.deepEqual(
      [0, 1, 2].map((slot) => bound.of(slot).map((l) => l.key)),
      [['0/shared'], ['0/shared'], ['0/shared']],
    );
    assert.deepEqual(bound.acceptedBy({ slot: -1 }, 0), []);
    assert.ok(portOf(bound.get('0/shared')) > 0);
  });

  it('opens the sockets of more slots later, and none twice', async () => {
    const bound = listeners();
    await bound.bind([tcp(), tcp()], 1);
    const before = bound.of(0);
    await bound.ensureSlots(3);
    await bound.ensureSlots(2);
    assert.deepEqual(bound.of(0), before);
    assert.deepEqual(
      bound.acceptedBy({ slot: -1 }, 2).map((l) => l.key),
      ['0/2', '1/2'],
    );
    assert.deepEqual(bound.of(3), []);
    assert.equal(portOf(bound.get('0/2')), portOf(bound.get('0/0')));
    assert.equal(portOf(bound.get('1/2')), portOf(bound.get('1/0')));
    assert.equal(bound.urls.length, 2);
  });

  it('on IPv6', { skip: !existsSync('/proc/net/if_inet6') }, async () => {
    const bound = listeners();
    await bound.bind([tcp(0, '::1')], 2);
    assert.match(bound.urls.join(), /^http:\/\/\[::1\]:\d+$/);
  });

  it('by name', async () => {
    const bound = listeners();
    await bound.bind([tcp(0, 'localhost')], 1);
    assert.match(bound.urls.join(), /^http:\/\/localhost:\d+$/);
  });

  for (const reusePort of [true, false]) {
    it(`is refused where another process listens (SO_REUSEPORT here: ${reusePort})`, async () => {
      const other = await listening(net.createServer(), 0, '127.0.0.1');
      const { port } = other.address() as AddressInfo;
      await refuses([tcp(port)], new RegExp(`^cannot bind 127\\.0\\.0\\.1:${port}: .*in use.*EADDRINUSE`), reusePort);
    });
  }

  it('is refused although the other has SO_REUSEPORT too', async () => {
    const other = net.createServer();
    const handle = bindTcp('127.0.0.1', 0, 4, REUSE_PORT);
    listenOnHandle(other, handle, 10);
    undo.push(() => other.close());
    const { port } = other.address() as AddressInfo;
    await refuses([tcp(port)], /EADDRINUSE/);
  });

  it('is refused where the machine has no such address or name', async () => {
    await refuses([tcp(0, '192.0.2.1')], /does not have that address \(EADDRNOTAVAIL\)/);
    await refuses([tcp(0, 'no-such-host.invalid')], /^cannot bind no-such-host\.invalid:0: /);
  });

  it('lets go of everything where the second address is refused', async () => {
    const other = await listening(net.createServer(), 0, '127.0.0.1');
    const path = socketPath();
    const bound = listeners();
    await assert.rejects(bound.bind([unix(path), tcp((other.address() as AddressInfo).port)], 1));
    bound.release();
    assert.equal(existsSync(path), false);
  });

  it('is free again after the release, which may come twice', async () => {
    const bound = listeners();
    await bound.bind([tcp()], 2);
    const port = portOf(bound.get('0/0'));
    bound.release();
    bound.release();
    assert.deepEqual([bound.of(0), bound.urls, bound.get('0/0')], [[], [], undefined]);
    await listening(net.createServer(), port, '127.0.0.1');
  });
});

describe('all sockets', { skip: !existsSync('/proc/self/fd') }, () => {
  const descriptors = (): number => readdirSync('/proc/self/fd').length;

  it('are as many descriptors as there are listeners, and none after the release', async () => {
    const before = descriptors();
    const bound = listeners();
    await bound.bind([tcp(), tcp(), unix(join(temporary, 'count-{slot}.sock'))], 3);
    assert.equal(descriptors() - before, 9);
    rmSync(join(temporary, 'count-1.sock'));
    bound.release();
    assert.equal(descriptors(), before);
  });

  it('are none where they were refused', async () => {
    const other = await listening(net.createServer(), 0, '127.0.0.1');
    const { port } = other.address() as AddressInfo;
    const before = descriptors();
    for (const reusePort of [true, false]) await refuses([tcp(port)], /EADDRINUSE/, reusePort);
    assert.equal(descriptors(), before);
  });
});

describe('an inherited descriptor', () => {
  it('is shared by all slots, and its file is left to who made it', async () => {
    const path = socketPath();
    const other = await listening(net.createServer(), path);
    const { fd } = (other as unknown as { _handle: { fd: number } })._handle;
    const script = `
      import { Listeners } from ${JSON.stringify(new URL('../../src/platform/sockets.ts', import.meta.url).href)};
      const bound = new Listeners({ reusePort: true, socketMode: 0o666 });
      await bound.bind([{ kind: 'fd', fd: 3 }], 2);
      console.log(JSON.stringify(bound.of(1).map(({ key, url }) => [key, url])));
      bound.release();`;
    const stdio = ['ignore', 'pipe', 'inherit', fd] as const;
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { stdio: [...stdio] });
    assert.deepEqual(JSON.parse(String(stdout)), [['0/shared', 'fd://3']]);
    assert.ok(existsSync(path));
  });

  it('is refused where there is none, or where it is no socket', async () => {
    await refuses([{ kind: 'fd', fd: 4321 }], /^cannot bind fd:\/\/4321: /);
    const fd = openSync(join(temporary, 'plain.txt'), 'w');
    undo.push(() => closeSync(fd));
    await refuses([{ kind: 'fd', fd }], new RegExp(`^cannot bind fd://${fd}: the descriptor is not a`));
  });
});

describe('LISTEN_FDS', () => {
  const rows: [env: Record<string, string>, fds: number[]][] = [
    [{}, []],
    [{ LISTEN_FDS: '2' }, []],
    [{ LISTEN_PID: '7' }, []],
    [{ LISTEN_PID: '7', LISTEN_FDS: '1' }, [3]],
    [{ LISTEN_PID: '7', LISTEN_FDS: '3', LISTEN_FDNAMES: 'a:b:c' }, [3, 4, 5]],
    [{ LISTEN_PID: '8', LISTEN_FDS: '1' }, []],
    [{ LISTEN_PID: '07', LISTEN_FDS: '1' }, []],
    [{ LISTEN_PID: '7', LISTEN_FDS: '0' }, []],
    [{ LISTEN_PID: '7', LISTEN_FDS: '' }, []],
    [{ LISTEN_PID: '7', LISTEN_FDS: 'two' }, []],
    [{ LISTEN_PID: '7', LISTEN_FDS: '-1' }, []],
    [{ LISTEN_PID: '7', LISTEN_FDS: '1.5' }, []],
    [{ LISTEN_PID: '7', LISTEN_FDS: '0x2' }, []],
    [{ LISTEN_PID: '7', LISTEN_FDS: '1e1' }, []],
    [{ LISTEN_PID: '7', LISTEN_FDS: '99999999999' }, []],
  ];
  for (const [env, fds] of rows) {
    it(`${JSON.stringify(env)} to process 7`, () => {
      assert.deepEqual(
        inheritedSockets(env, 7),
        fds.map((fd) => ({ kind: 'fd', fd })),
      );
    });
  }
});
