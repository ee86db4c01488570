import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { HaltServer } from '../../src/errors.ts';
import { Destination } from '../../src/observe/log/destination.ts';
import { waitFor } from '../support/wait.ts';

function directory(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'tsunicorn-log-'));
  t.after(() => rmSync(path, { recursive: true }));
  return path;
}

/** A FIFO that is open for reading, and what can be read from it now. */
function fifo(t: TestContext): { path: string; read: () => string } {
  const path = join(directory(t), 'fifo');
  execFileSync('mkfifo', [path]);
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  t.after(() => closeSync(fd));
  const read = (): string => {
    const buffer = Buffer.alloc(1024 * 1024);
    let text = '';
    try {
      for (let n = 1; n > 0; text += buffer.toString('latin1', 0, n)) n = readSync(fd, buffer);
    } catch {
      // EAGAIN
    }
    return text;
  };
  return { path, read };
}

const line = (n: number, length = 100): Buffer => Buffer.from(`${String(n).padStart(length - 1, '0')}\n`);

for (const kind of ['file', 'FIFO'] as const) {
  test(`a ${kind} gets all lines in order`, async (t) => {
    const pipe = kind === 'FIFO' ? fifo(t) : undefined;
    const path = pipe?.path ?? join(directory(t), 'file');
    const destination = new Destination(path, 1);
    for (let n = 0; n < 500; n++) destination.write(line(n));
    await destination.close();
    const text = pipe ? pipe.read() : readFileSync(path, 'utf8');
    assert.deepEqual(
      text.trimEnd().split('\n').map(Number),
      Array.from({ length: 500 }, (_, n) => n),
    );
    assert.equal(destination.takeDropped(), 0);
  });
}

test('beyond 4 MiB in memory lines are dropped and counted; close() drops what is left', async (t) => {
  const { path, read } = fifo(t);
  const destination = new Destination(path, 1);
  const block = Buffer.concat(Array.from({ length: 40 }, (_, n) => line(n)));
  let given = 0;
  for (; given < 6 * 1024 * 1024; given += block.length) destination.write(block);
  const dropped = destination.takeDropped() * 100;
  assert.ok(given - dropped >= 4 * 1024 * 1024 - block.length, `${given} given, ${dropped} dropped`);
  assert.ok(given - dropped < 4.2 * 1024 * 1024, `${given} given, ${dropped} dropped`);
  const before = performance.now();
  await destination.close();
  assert.ok(performance.now() - before < 4_000);
  const text = read();
  assert.ok(text.length >= 60 * 1024 && text.length % 100 === 0, 'what the pipe holds, in whole lines');
  destination.write(line(0));
  const rest = given - dropped - text.length;
  assert.equal(destination.takeDropped() * 100, rest + 100, 'lines left at close() and later ones are counted too');
});

test('what was written before a reopen is in the old file, and the rest in the new one', async (t) => {
  const path = join(directory(t), 'file');
  const destination = new Destination(path, 1);
  for (let n = 0; n < 5; n++) destination.write(line(n));
  renameSync(path, `${path}.1`);
  destination.reopen();
  destination.reopen();
  destination.write(line(5));
  await destination.close();
  const both = [`${path}.1`, path].map((file) => readFileSync(file, 'utf8'));
  assert.deepEqual(both.join('').trimEnd().split('\n').map(Number), [0, 1, 2, 3, 4, 5]);
  assert.match(both[1] ?? '', /5\n$/);
});

test('at an exit, waiting lines are written at once', (t) => {
  const path = join(directory(t), 'file');
  const code = `
    const { Destination } = await import(${JSON.stringify(new URL('../../src/observe/log/destination.ts', import.meta.url).href)});
    const destination = new Destination(${JSON.stringify(path)}, 1);
    process.on('exit', () => destination.flushSync());
    for (let n = 0; n < 3; n++) destination.write(Buffer.from(n + '\\n'));
    process.exit(0);
  `;
  execFileSync(process.execPath, ['--input-type=module', '-e', code]);
  assert.deepEqual(readFileSync(path, 'utf8').trimEnd().split('\n').sort(), ['0', '1', '2']);
});

test('a block that was written can be had again, and no other memory', async (t) => {
  const path = join(directory(t), 'file');
  const destination = new Destination(path, 1);
  const block = Buffer.allocUnsafeSlow(destination.blockSize + 100).fill('a\n');
  destination.write(block.subarray(0, 10));
  await destination.close();
  assert.equal(destination.spare(block.length - 1), undefined);
  const again = new Destination(path, 1);
  again.write(block.subarray(0, 10));
  await again.close();
  assert.equal(again.spare(block.length)?.buffer, block.buffer);
  assert.equal(again.spare(block.length), undefined);
});

test('at an exit, lines without room are counted and not waited for', async (t) => {
  const { path, read } = fifo(t);
  const destination = new Destination(path, 1);
  for (let n = 0; n < 2000; n++) destination.write(line(n));
  destination.flushSync();
  const dropped = destination.takeDropped();
  await destination.close();
  const rest = destination.takeDropped();
  const text = read();
  assert.equal(text.length % 100, 0);
  assert.ok(rest * 100 <= 4096, 'the block that the loop was writing');
  assert.equal(dropped + rest + text.length / 100, 2000);
});

test('lines for a file that cannot be opened are counted until it can be', async (t) => {
  const parent = join(directory(t), 'gone');
  const problems: string[] = [];
  const path = join(parent, 'a.log');
  const destination = new Destination(path, 1, (problem) => problems.push(problem));
  assert.match(problems.join(), /^cannot open TSUNICORN_ACCESS_LOG: ENOENT.*a\.log'$/);
  destination.write(line(0));
  await waitFor('it is counted', () => destination.takeDropped() === 1);
  destination.reopen();
  destination.write(line(1));
  await waitFor('it is counted', () => destination.takeDropped() === 1);
  mkdirSync(parent);
  let n = 2;
  await waitFor('the next line after a while is written', () => {
    destination.write(line(n++));
    return existsSync(path) && readFileSync(path).length > 0;
  });
  await destination.close();
  assert.equal(destination.takeDropped(), n - 2 - readFileSync(path).length / 100);
  assert.equal(problems.length, 1);
});

test('a reopen writes to a file that could not be opened before', async (t) => {
  const parent = join(directory(t), 'gone');
  const destination = new Destination(join(parent, 'a.log'), 1, () => {});
  mkdirSync(parent);
  destination.reopen();
  destination.write(line(7));
  await destination.close();
  assert.equal(readFileSync(join(parent, 'a.log'), 'utf8'), String(line(7)));
});

test('a file that cannot be opened is an error of the configuration', () => {
  assert.throws(() => new Destination('/nowhere/a.log', 1), HaltServer);
});
