/**
 * Does for a server and its workers what the kernel's memory controller does for a group, where a test may not make
 * one: adds up what they have resident, and above the limit kills the largest. It looks some hundred times a second; the
 * kernel itself is test/container/leak.test.ts.
 *
 * usage: memory-controller.ts FOLDER PID. FOLDER has memory.max; memory.current is written, and at the end (SIGTERM)
 * one line of JSON with the peak and the kills.
 */
import { openSync, readFileSync, writeSync } from 'node:fs';
import { setPriority } from 'node:os';
import { join } from 'node:path';
import { childrenOf } from './server.ts';

const [folder = '', of = ''] = process.argv.slice(2);
const server = Number(of);
const PAGE = 4096;
/** Pages of the program and its libraries, which a group is charged with once. */
const SHARED = 55 * 2 ** 20;

const current = openSync(join(folder, 'memory.current'), 'w');
let peak = 0;
let kills = 0;
let lookedAt = performance.now();
/** The kernel counts each page, and does not look away: where this process had no CPU it could not know what came. */
const GAP_MS = 20;
const GRACE_MS = 200;
let graceUntil = 0;
try {
  setPriority(-20);
} catch {
  // Not root: there are more gaps.
}
const killed = new Set<number>();

function privateBytes(pid: number): number {
  try {
    const [, resident = 0, shared = 0] = readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ').map(Number);
    return (resident - shared) * PAGE;
  } catch {
    return 0; // it ended meanwhile
  }
}

const timer = setInterval(() => {
  const now = performance.now();
  if (now - lookedAt > GAP_MS) graceUntil = now + GRACE_MS;
  lookedAt = now;
  const limit = Number(readFileSync(join(folder, 'memory.max'), 'utf8'));
  const workers = childrenOf(server).map((pid) => ({ pid, bytes: privateBytes(pid) }));
  const used = workers.reduce((sum, { bytes }) => sum + bytes, SHARED + privateBytes(server));
  peak = Math.max(peak, used);
  writeSync(current, `${String(used).padEnd(20)}\n`, 0);
  const [largest] = workers.filter(({ pid }) => !killed.has(pid)).toSorted((a, b) => b.bytes - a.bytes);
  if (used <= limit || !largest || now < graceUntil) return;
  killed.add(largest.pid);
  kills++;
  process.kill(largest.pid, 'SIGKILL');
}, 2);

process.once('SIGTERM', () => {
  clearInterval(timer);
  process.stdout.write(`${JSON.stringify({ peak, kills })}\n`);
});
