/** Connections that wait in an accept queue: made while this process' loop stands still. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import type { Server } from 'node:net';

const CONNECT = `
const [target, count] = process.argv.slice(1);
const where = target.startsWith('/') ? { path: target } : { host: '127.0.0.1', port: Number(target) };
let open = 0;
for (let i = 0; i < Number(count); i++) {
  require('node:net').connect(where, () => { if (++open === Number(count)) process.exit(0); });
}`;

/** `target` is a path or a port. The clients are gone afterwards, but their connections wait all the same. */
export function connectInTheMeantime(target: string | number, count: number): void {
  const { status } = spawnSync(process.execPath, ['-e', CONNECT, String(target), String(count)], { timeout: 20_000 });
  assert.equal(status, 0);
}

export function fdOf(server: Server): number {
  return (server as unknown as { _handle: { fd: number } })._handle.fd;
}

export function inodeOf(server: Server): number {
  return Number(/\d+/.exec(readlinkSync(`/proc/self/fd/${fdOf(server)}`))?.[0]);
}
