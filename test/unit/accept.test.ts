import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from 'node:test';
import { bindTcp, type SocketHandle } from '../../src/platform/socket-handle.ts';
import { Acceptor } from '../../src/worker/http/accept.ts';
import { waitFor } from '../support/wait.ts';

test('a worker with a cap asks again for a spare descriptor that has not come', async (t) => {
  const bound = bindTcp('127.0.0.1', 0, 4, 0);
  const asked: string[] = [];
  const acceptor = new Acceptor({
    backlog: 10,
    cap: 1,
    spares: true,
    trusts: () => false,
    socketOptions: () => ({}),
    onConnection: (socket) => socket.destroy(),
    needDescriptor: (key) => asked.push(key),
  });
  t.after(() => acceptor.end(true));
  acceptor.start([{ key: '0/shared', fd: bound.fd }]);
  assert.deepEqual(asked, ['0/shared']);
  await waitFor('it asks again', () => asked.length > 1);
});

test('what waits in the accept queue is left to a successor, or served where there is none', async (t) => {
  for (const [drainQueues, expected] of [
    [false, 0],
    [true, 1],
  ] as const) {
    const bound = bindTcp('127.0.0.1', 0, 4, 0);
    const address: { port?: number } = {};
    bound.getsockname?.(address);
    let accepted = 0;
    const acceptor = new Acceptor({
      backlog: 10,
      cap: 0,
      spares: true,
      trusts: () => false,
      socketOptions: () => ({}),
      onConnection: (socket) => {
        accepted++;
        socket.destroy();
      },
      needDescriptor: () => {},
    });
    acceptor.start([{ key: '0', fd: bound.fd }]);
    // The kernel completes the connection without this process, which has not polled since.
    const client = net.connect(address.port ?? assert.fail(), '127.0.0.1').on('error', () => {});
    t.after(() => client.destroy());
    const handle = (client as unknown as { _handle: unknown })._handle;
    assert.ok(handle, 'connect(2) was called');
    await acceptor.end(drainQueues);
    assert.equal(accepted, expected);
  }
});

test('a worker that pauses, at its cap or for want of memory, takes over for a neighbour once it goes on', async (t) => {
  let accepted = 0;
  const acceptor = new Acceptor({
    backlog: 10,
    cap: 1,
    spares: true,
    trusts: () => false,
    socketOptions: () => ({}),
    onConnection: (socket) => {
      accepted++;
      socket.destroy();
    },
    needDescriptor: () => {},
  });
  t.after(() => acceptor.end(false));
  acceptor.start([{ key: '0', fd: bindTcp('127.0.0.1', 0, 4, 0).fd }]);
  for (const [pause, goOn] of [
    [() => acceptor.balance(1), () => acceptor.balance(0)],
    [() => acceptor.pause(true), () => acceptor.pause(false)],
  ] as const) {
    accepted = 0;
    const [first, second] = [bindTcp('127.0.0.1', 0, 4, 0), bindTcp('127.0.0.1', 0, 4, 0)];
    const ports = [portOf(first), portOf(second)];
    pause();
    acceptor.takeOver('1', first);
    assert.equal(await accepts(ports[0]), false);
    acceptor.takeOver('1', second); // it has one already
    goOn();
    assert.equal(await accepts(ports[0]), true);
    assert.equal(await accepts(ports[1]), false);
    assert.equal(accepted, 1);
    acceptor.handBack('1');
    assert.equal(await accepts(ports[0]), false);
  }
});

test('a pause for want of memory leaves new connections to the kernel, where a spare descriptor is there to come back with', async (t) => {
  const [first, second] = [bindTcp('127.0.0.1', 0, 4, 0), bindTcp('127.0.0.1', 0, 4, 0)];
  const ports = [portOf(first), portOf(second)];
  const asked: string[] = [];
  const acceptor = new Acceptor({
    backlog: 10,
    cap: 0,
    spares: true,
    trusts: () => false,
    socketOptions: () => ({}),
    onConnection: (socket) => socket.destroy(),
    needDescriptor: (key) => asked.push(key),
  });
  t.after(() => acceptor.end(false));
  acceptor.start([{ key: '0', fd: first.fd }]);
  acceptor.pause(true);
  assert.equal(await accepts(ports[0]), true, 'it has no spare, and goes on');
  acceptor.pause(false);
  // Another socket, so that the two can be told apart.
  acceptor.lend('0', second);
  acceptor.pause(true);
  assert.equal(await accepts(ports[0]), false);
  assert.equal(await accepts(ports[1]), false);
  acceptor.pause(false);
  assert.equal(await accepts(ports[1]), true);
  assert.deepEqual(asked, ['0', '0']);
});

test('a cap leaves new connections to the kernel, also where the spare descriptor is still on its way', async (t) => {
  const [first, second] = [bindTcp('127.0.0.1', 0, 4, 0), bindTcp('127.0.0.1', 0, 4, 0)];
  const ports = [portOf(first), portOf(second)];
  const asked: string[] = [];
  const acceptor = new Acceptor({
    backlog: 10,
    cap: 2,
    spares: true,
    trusts: () => false,
    socketOptions: () => ({}),
    onConnection: (socket) => socket.destroy(),
    needDescriptor: (key) => asked.push(key),
  });
  t.after(() => acceptor.end(false));
  acceptor.start([{ key: '0', fd: first.fd }]);
  acceptor.balance(1);
  assert.equal(await accepts(ports[0]), true);
  acceptor.balance(2);
  assert.equal(await accepts(ports[0]), false);
  acceptor.balance(1);
  acceptor.balance(2);
  acceptor.lend('0', second);
  assert.equal(await accepts(ports[1]), false);
  acceptor.balance(1);
  assert.equal(await accepts(ports[1]), true);
  assert.deepEqual(asked, ['0', '0']);
});

function portOf(handle: SocketHandle): number {
  const address: { port?: number } = {};
  handle.getsockname?.(address);
  return address.port ?? assert.fail();
}

async function accepts(port = 0): Promise<boolean> {
  const client = net.connect(port, '127.0.0.1');
  return await new Promise((resolve) => client.once('close', (failed) => resolve(!failed)).once('error', () => {}));
}

test('a spare descriptor that comes after its listener was handed back is closed', async (t) => {
  const [own, taken, late] = [
    bindTcp('127.0.0.1', 0, 4, 0),
    bindTcp('127.0.0.1', 0, 4, 0),
    bindTcp('127.0.0.1', 0, 4, 0),
  ];
  const asked: string[] = [];
  const acceptor = new Acceptor({
    backlog: 10,
    cap: 0,
    spares: true,
    trusts: () => false,
    socketOptions: () => ({}),
    onConnection: (socket) => socket.destroy(),
    needDescriptor: (key) => asked.push(key),
  });
  t.after(() => acceptor.end(false));
  acceptor.start([{ key: '0', fd: own.fd }]);
  acceptor.takeOver('1', taken);
  assert.deepEqual(asked, ['0', '1']);
  acceptor.handBack('1');
  acceptor.lend('1', late);
  assert.equal(late.fd, -1, 'it is closed');
});
