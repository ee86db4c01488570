import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { CpuWait } from '../../src/platform/kernel/cpu.ts';

const PID = 7;

/** Milliseconds: the time, what the kernel says that it ran and waited, its state, and the result. */
type Row = readonly [now: number, ran: number, waited: number, state: 'R' | 'S', wait: number];

function tell(t: { after(fn: () => unknown): void }, rows: readonly Row[]): void {
  const root = mkdtempSync(join(tmpdir(), 'tsunicorn-wait-'));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  mkdirSync(join(root, `proc/${PID}`), { recursive: true });
  const write = (name: string, text: string) => writeFileSync(join(root, `proc/${PID}`, name), text);
  const wait = new CpuWait(PID, 0, root);
  const told = rows.map(([now, ran, waited, state]): Row => {
    write('schedstat', `${ran * 1e6} ${waited * 1e6} 49\n`);
    write('stat', `${PID} (a) S (node) ${state} 1 ${PID}\n`);
    return [now, ran, waited, state, wait.take(now)];
  });
  assert.deepEqual(told, rows);
}

describe('the wait of a process for a CPU', () => {
  it('is what the kernel counted since the last time', (t) => {
    tell(t, [
      [1000, 100, 900, 'R', 900],
      [2000, 300, 1700, 'R', 800],
      [3000, 400, 1700, 'S', 0],
    ]);
  });

  it('is the whole time where it did nothing but wait, and is not told again when the kernel has counted it', (t) => {
    tell(t, [
      [1000, 100, 900, 'R', 900],
      [1200, 100, 900, 'R', 200],
      [1300, 100, 900, 'R', 100],
      [1700, 120, 1580, 'R', 380], // 680 in all
      [1800, 140, 1650, 'R', 70],
    ]);
  });

  it('is nothing where it sleeps', (t) => {
    tell(t, [
      [1000, 100, 0, 'S', 0],
      [9000, 100, 0, 'S', 0],
    ]);
  });

  it('is nothing where the kernel does not tell', () => {
    const wait = new CpuWait(PID, 0, '/nowhere');
    assert.deepEqual([wait.take(1000), wait.take(2000)], [0, 0]);
  });
});
