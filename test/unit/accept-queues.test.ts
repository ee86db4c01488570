import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { acceptQueues } from '../../src/platform/kernel/accept-queues.ts';
import { connectInTheMeantime, fdOf } from './queue-kit.ts';

const skip = process.platform === 'linux' ? false : 'it is for Linux only';
const directory = mkdtempSync(join(tmpdir(), 'tsunicorn-queues-'));
after(() => rmSync(directory, { recursive: true }));

test('the queues of this process', { skip }, async (t) => {
  for (const host of ['127.0.0.1', '::']) {
    const [busy, idle] = [createServer(), createServer()];
    t.after(() => [busy, idle].map((server) => server.close()));
    await Promise.all([busy, idle].map((server) => once(server.listen(0, host), 'listening')));
    const sockets = [
      { label: 'busy', fd: fdOf(busy) },
      { label: 'idle', fd: fdOf(idle) },
    ];
    connectInTheMeantime((busy.address() as { port: number }).port, 5);
    assert.deepEqual(
      [...acceptQueues(sockets)],
      [
        ['busy', 5],
        ['idle', 0],
      ],
      host,
    );
  }
});

const HEAD =
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                                                     ';
const row = (state: string, queue: string, inode: number): string =>
  `   0: 0100007F:1F40 00000000:0000 ${state} 00000000:${queue} 00:00000000 00000000     0        0 ${inode} 1 0000000000000000 100 0 0 10 0`;

/** A /proc with these sockets as descriptors from 10 up. */
function plant(files: Record<string, string>, inodes: readonly number[]): string {
  const root = mkdtempSync(join(directory, 'root-'));
  mkdirSync(join(root, 'proc/self/fd'), { recursive: true });
  mkdirSync(join(root, 'proc/net'));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(root, 'proc/net', name), text);
  for (const [i, inode] of inodes.entries()) symlinkSync(`socket:[${inode}]`, join(root, `proc/self/fd/${10 + i}`));
  return root;
}

const sockets = [10, 11, 12].map((fd) => ({ label: `s${fd}`, fd }));

test('slots with the same address are told apart; what is unknown is left out', () => {
  const tcp = [HEAD, row('0A', '00000002', 501), row('0A', '00000080', 502), row('01', '00000009', 503), ''].join('\n');
  const root = plant({ tcp }, [501, 502, 503]);
  assert.deepEqual(
    [...acceptQueues(sockets, { root })],
    [
      ['s10', 2],
      ['s11', 128],
    ],
  );
  const native = { unixAcceptQueue: (inode: number) => (inode === 503 ? 7 : undefined) };
  assert.deepEqual(
    [...acceptQueues(sockets, { root, native })].at(-1),
    ['s12', 7],
    'no TCP socket: the kernel is asked',
  );
});

test('no /proc, no queues', () => {
  assert.deepEqual([...acceptQueues(sockets, { root: join(directory, 'nothing') })], []);
  assert.deepEqual([...acceptQueues(sockets, { root: plant({}, [501]) })], []);
});

test('a table that is longer than what is read at once', () => {
  const listening = Array.from({ length: 2_000 }, (_, i) => row('0A', '00000000', 1_000 + i));
  const established = Array.from({ length: 3_000 }, (_, i) => row('01', '00000000', 9_000 + i));
  const tcp = [HEAD, ...listening, row('0A', '0000000b', 501), ...established, ''].join('\n');
  const root = plant({ tcp }, [501, 1_000, 2_999]);
  assert.deepEqual([...acceptQueues(sockets, { root }).values()], [11, 0, 0]);
});
