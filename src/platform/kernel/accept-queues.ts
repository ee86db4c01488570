/**
 * How many connections wait in the kernel to be accepted, for each listening socket of this process. The SO_REUSEPORT
 * sockets of all slots have the same address, so the inode tells them apart.
 */
import { join } from 'node:path/posix';
import type { Native } from '../native/native.ts';
import { closeSync, openSync, readlinkSync, readSync } from '../node-fs.ts';

/** Listening sockets come first in /proc/net/tcp. With 50,000 connections after them the rest is not worth reading. */
const CHUNK = 16 * 1024;
const LISTEN = '0A';

/**
 * Length by label, without the sockets whose length is unknown. Never throws. /proc does not show the queues of unix
 * sockets, so `native` asks the kernel. `root` stands for `/`.
 */
export function acceptQueues(
  sockets: readonly { readonly label: string; readonly fd: number }[],
  { root = '/', native }: { root?: string; native?: Pick<Native, 'unixAcceptQueue'> | undefined } = {},
): Map<string, number> {
  const queues = new Map<string, number>();
  const tcp = new Map([...listening(join(root, 'proc/net/tcp')), ...listening(join(root, 'proc/net/tcp6'))]);
  for (const { label, fd } of sockets) {
    const inode = inodeOf(join(root, 'proc/self/fd', String(fd)));
    if (inode === undefined) continue;
    const length = tcp.get(inode) ?? native?.unixAcceptQueue(inode);
    if (length !== undefined) queues.set(label, length);
  }
  return queues;
}

/** `socket:[12345]` (proc_pid_fd(5)). */
function inodeOf(link: string): number | undefined {
  try {
    return Number(/^socket:\[(\d+)\]$/.exec(readlinkSync(link))?.[1]) || undefined;
  } catch {
    return undefined;
  }
}

/** Inode → queue. `rx_queue` of a listening socket is its accept backlog (proc_pid_net(5), tcp_get_info in the kernel). */
function listening(file: string): [inode: number, queue: number][] {
  const found: [number, number][] = [];
  for (const line of linesOf(file)) {
    // sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode
    const [, , , state, queues, , , , , inode] = line.trim().split(/\s+/);
    if (state === 'st') continue;
    if (state !== LISTEN) break;
    found.push([Number(inode), Number.parseInt(queues?.split(':')[1] ?? '', 16)]);
  }
  return found;
}

/** Reads no further than the caller iterates. */
function* linesOf(file: string): Generator<string> {
  let fd: number;
  try {
    fd = openSync(file, 'r');
  } catch {
    return; // no such protocol, or no /proc
  }
  try {
    const buffer = Buffer.alloc(CHUNK);
    let rest = '';
    for (let length = readSync(fd, buffer); length > 0; length = readSync(fd, buffer)) {
      const lines = (rest + buffer.toString('latin1', 0, length)).split('\n');
      rest = lines.pop() ?? '';
      yield* lines;
    }
    if (rest !== '') yield rest;
  } finally {
    closeSync(fd);
  }
}
