import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bindTcp } from '../../src/platform/socket-handle.ts';
import { Acceptor } from '../../src/worker/accept.ts';
import { waitFor } from '../support/wait.ts';

test('a worker with a cap asks again for a spare descriptor that has not come', async (t) => {
  const bound = bindTcp('127.0.0.1', 0, 4, 0);
  const asked: string[] = [];
  const acceptor = new Acceptor({
    backlog: 10,
    cap: 1,
    onConnection: (socket) => socket.destroy(),
    wantDescriptor: (key) => asked.push(key),
  });
  t.after(() => acceptor.end());
  acceptor.start([{ key: '0/shared', fd: bound.fd }]);
  assert.deepEqual(asked, ['0/shared']);
  await waitFor('it asks again', () => asked.length > 1);
});
