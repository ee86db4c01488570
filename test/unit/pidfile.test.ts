import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { writePidfile } from '../../src/arbiter/pidfile.ts';
import { HaltServer } from '../../src/errors.ts';

const temporary = mkdtempSync(join(tmpdir(), 'tsunicorn-pidfile-'));
after(() => rmSync(temporary, { recursive: true }));
let files = 0;
const path = (): string => join(temporary, `${files++}.pid`);

/** The pid of a process that has ended. */
const dead = spawnSync(process.execPath, ['-e', '']).pid;

function halts(call: () => unknown, status: number, message: RegExp): void {
  assert.throws(call, (error) => {
    assert.ok(error instanceof HaltServer, String(error));
    assert.equal(error.status, status);
    assert.match(error.message, message);
    return true;
  });
}

describe('the pidfile', () => {
  it('holds the pid and a line end, and is removed at the end', () => {
    const file = path();
    const remove = writePidfile(file, process.pid);
    assert.equal(readFileSync(file, 'utf8'), `${process.pid}\n`);
    remove();
    assert.equal(existsSync(file), false);
    remove();
  });

  const replaced: [what: string, text: string][] = [
    ['a dead process', `${dead}\n`],
    ['the same process: pid 1 in the container before', `${process.pid}\n`],
    ['nothing', ''],
    ['rubbish', 'rubbish\n'],
    ['two numbers', `${process.ppid} ${process.ppid}\n`],
    ['zero, which would be the whole process group', '0\n'],
    ['a negative number, which would be a process group', `-${process.ppid}\n`],
    ['a number beyond all pids', '99999999999999999999\n'],
    ['a fraction', '1.5\n'],
  ];
  for (const [what, text] of replaced) {
    it(`is taken from ${what}`, () => {
      const file = path();
      writeFileSync(file, text);
      writePidfile(file, process.pid);
      assert.equal(readFileSync(file, 'utf8'), `${process.pid}\n`);
    });
  }

  it('is not taken from a live process', () => {
    for (const text of [`${process.ppid}\n`, ` ${process.ppid} `, String(process.ppid)]) {
      const file = path();
      writeFileSync(file, text);
      halts(() => writePidfile(file, process.pid), 1, new RegExp(`process ${process.ppid} runs already`));
      assert.equal(readFileSync(file, 'utf8'), text);
    }
  });

  it('of another process stays at the end', () => {
    const file = path();
    const remove = writePidfile(file, process.pid);
    writeFileSync(file, `${process.ppid}\n`);
    remove();
    assert.equal(readFileSync(file, 'utf8'), `${process.ppid}\n`);
  });

  it('that cannot be written is bad configuration', () => {
    for (const file of [join(temporary, 'none/a.pid'), temporary]) {
      halts(() => writePidfile(file, process.pid), 78, /^TSUNICORN_PIDFILE=.*E(NOENT|ISDIR)/);
    }
  });
});
