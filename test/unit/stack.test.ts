/** What a process tells of itself over its socket, and what the kernel says of it. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { DiagnosticSocket, processState } from '../../src/platform/native/diagnostics.ts';

test('the state of a process, in words', (t) => {
  const root = mkdtempSync(join(tmpdir(), 'tsunicorn-stack-'));
  t.after(() => rmSync(root, { recursive: true }));
  for (const [stat, state] of [
    ['7 (node) R 1 7 7 0', 'running'],
    ['7 (a) name) D 1 7 7 0', 'waiting for a device or a network file system'],
    ['7 (node) t 1 7 7 0', 'stopped by a debugger'],
    ['7 (node) I 1 7 7 0', 'I'],
  ] as const) {
    mkdirSync(join(root, 'proc/7'), { recursive: true });
    writeFileSync(join(root, 'proc/7/stat'), stat);
    assert.equal(processState(7, root), state);
  }
  assert.equal(processState(8, root), undefined);
});

const signal = 0; // is never sent: the answers are written here

test('an answer in pieces, one that never comes, and a process that is gone', async () => {
  const socket = new PassThrough();
  const diagnostics = new DiagnosticSocket(socket);
  const ask = (pid = process.pid) => diagnostics.stack({ pid, signal, waitMs: 50 });
  const asked = ask();
  const [before, after] = [Buffer.from('at wö').subarray(0, -1), Buffer.from('at wö').subarray(-1)];
  socket.write('at a (a.js:1:1)\n');
  socket.write(before); // in the middle of a letter
  socket.write(after);
  socket.write('rk (b.js:2:2)\0');
  assert.equal(await asked, 'at a (a.js:1:1)\nat wörk (b.js:2:2)');
  assert.equal(await ask(), undefined);
  assert.equal(await ask(2 ** 22 + 1), undefined); // above the kernel's largest pid
  assert.equal(diagnostics.outOfMemory, undefined);
});

for (const [name, pieces, stack, outOfMemory] of [
  ['in its heap', ['!heap Reached heap limit\0'], undefined, { of: 'heap', where: 'Reached heap limit' }],
  ['of the system, in pieces', ['!proc', 'ess Zone', '\0'], undefined, { of: 'process', where: 'Zone' }],
  ['right behind a stack', ['at a (a.js:1:1)\0!heap x\0'], 'at a (a.js:1:1)', { of: 'heap', where: 'x' }],
  ['twice, by two threads', ['!heap x\0!heap x\0'], undefined, { of: 'heap', where: 'x' }],
  ['half said', ['!heap Reached'], undefined, undefined],
  ['behind what another writer left', ['x'.repeat(2 ** 20), '\0!heap x\0'], 'x', { of: 'heap', where: 'x' }],
] as const) {
  test(`out of memory: ${name}`, async () => {
    const socket = new PassThrough();
    const diagnostics = new DiagnosticSocket(socket);
    const asked = diagnostics.stack({ pid: process.pid, signal, waitMs: 50 });
    for (const piece of pieces) socket.write(piece);
    assert.equal(
      (await asked)?.replace(/^x+$/, (all) => (all.length <= 16_384 ? 'x' : 'too long')),
      stack,
    );
    assert.deepEqual(diagnostics.outOfMemory, outOfMemory);
  });
}
