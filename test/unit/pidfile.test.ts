import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
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

const info = (): void => {};

/** What the kernel shows of the parent of this process, below `root`. */
function proc(root: string, tgid: string, state: string, commandLine: string): void {
  const directory = join(root, `proc/${process.ppid}`);
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'status'), `Name:\tx\nState:\t${state}\n${tgid}\n`);
  writeFileSync(join(directory, 'cmdline'), commandLine);
}

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
    const remove = writePidfile(file, process.pid, info);
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
      writePidfile(file, process.pid, info);
      assert.equal(readFileSync(file, 'utf8'), `${process.pid}\n`);
    });
  }

  it('is not taken from an arbiter, nor from a live process that the system does not show', () => {
    const shown = join(temporary, 'arbiter');
    proc(shown, `Tgid:\t${process.ppid}`, 'S (sleeping)', 'tsunicorn: arbiter\0\0\0');
    for (const root of [shown, join(temporary, 'no-proc')]) {
      for (const text of [`${process.ppid}\n`, ` ${process.ppid} `, String(process.ppid)]) {
        const file = path();
        writeFileSync(file, text);
        const running = new RegExp(`an arbiter runs with pid ${process.ppid}\\. .* remove the file$`);
        halts(() => writePidfile(file, process.pid, info, root), 69, running);
        assert.equal(readFileSync(file, 'utf8'), text);
      }
    }
  });

  const strangers: [what: string, tgid: string, state: string, commandLine: string, told: RegExp][] = [
    [
      'another program',
      `Tgid:\t${process.ppid}`,
      'R (running)',
      '/bin/sh\0-c\0x',
      /another program \(\/bin\/sh -c x\)/,
    ],
    [
      'a program with a similar name',
      `Tgid:\t${process.ppid}`,
      'S (sleeping)',
      'tsunicorn-exporter\x0060',
      /another program \(tsunicorn-exporter 60\)/,
    ],
    ['a thread of another program', 'Tgid:\t1', 'S (sleeping)', 'tsunicorn: arbiter', /is a thread/],
    ['a zombie', `Tgid:\t${process.ppid}`, 'Z (zombie)', '', /is a zombie/],
  ];
  for (const [what, tgid, state, commandLine, message] of strangers) {
    it(`is taken from ${what} with that pid`, () => {
      const [file, root] = [path(), join(temporary, what)];
      proc(root, tgid, state, commandLine);
      writeFileSync(file, `${process.ppid}\n`);
      const told: string[] = [];
      writePidfile(file, process.pid, (text) => told.push(text), root);
      assert.equal(readFileSync(file, 'utf8'), `${process.pid}\n`);
      assert.match(told.join(), message);
    });
  }

  it('may be a link, and is refused where it is a FIFO', () => {
    const [file, link, fifo] = [path(), path(), path()];
    writeFileSync(file, '');
    symlinkSync(file, link);
    writePidfile(link, process.pid, info);
    assert.equal(readFileSync(file, 'utf8'), `${process.pid}\n`);
    spawnSync('mkfifo', [fifo]);
    halts(() => writePidfile(fifo, process.pid, info), 78, /not a regular file/);
  });

  it('of another process stays at the end', () => {
    const file = path();
    const remove = writePidfile(file, process.pid, info);
    writeFileSync(file, `${process.ppid}\n`);
    remove();
    assert.equal(readFileSync(file, 'utf8'), `${process.ppid}\n`);
  });

  it('that cannot be written is bad configuration', () => {
    for (const file of [join(temporary, 'none/a.pid'), temporary]) {
      halts(
        () => writePidfile(file, process.pid, info),
        78,
        /^TSUNICORN_PIDFILE=.*(ENOENT|this is not a regular file)/,
      );
    }
  });
});
