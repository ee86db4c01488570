/** Asking a process where its JavaScript is, and what the kernel says of it. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { askForStack, processState } from '../../src/platform/stack.ts';

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

test('an answer in pieces, one that never comes, and a process that is gone', async () => {
  const socket = new PassThrough();
  const signal = 0; // is sent to nobody: the pieces are written here
  const ask = (pid = process.pid) => askForStack({ pid, signal, waitMs: 50 }, socket);
  const asked = ask();
  socket.write('at a (a.js:1:1)\n');
  socket.write('at b (b.js:2:2)\0');
  assert.equal(await asked, 'at a (a.js:1:1)\nat b (b.js:2:2)');
  assert.equal(await ask(), undefined);
  assert.equal(await ask(2 ** 22 + 1), undefined); // above the kernel's largest pid
  assert.equal(socket.listenerCount('data'), 0);
});
