/** The native part itself, compiled here with every warning as an error. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { DiagnosticSocket } from '../../src/platform/native/diagnostics.ts';
import { loadNative, type Native, type Reaped } from '../../src/platform/native/native.ts';
import { Notifier } from '../../src/platform/notify.ts';
import { connectInTheMeantime, inodeOf } from './queue-kit.ts';

const SOURCES = ['tsunicorn.c', 'reuse-port.c', 'stack.c', 'out-of-memory.c'].map((name) =>
  fileURLToPath(new URL(`../../src/platform/native/${name}`, import.meta.url)),
);
const directory = mkdtempSync(join(tmpdir(), 'tsunicorn-native-'));
const file = join(directory, 'tsunicorn.node');
after(() => rmSync(directory, { recursive: true }));

/** Why the tests below cannot run; the exit code of the compiler is a test. */
function compile(): string | false {
  if (process.platform !== 'linux') return 'it is for Linux only';
  if (spawnSync('cc', ['--version']).error) return 'there is no C compiler (cc)';
  const include: string = createRequire(import.meta.url)('node-api-headers').include_dir;
  const flags = ['-O2', '-shared', '-fPIC', '-Wall', '-Wextra', '-Wpedantic', '-Wconversion', '-Werror'];
  const { status, stderr } = spawnSync('cc', [...flags, '-I', include, ...SOURCES, '-o', file], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return false;
}

const skip = compile();
const load = (): Native => {
  const { native, problem } = loadNative(file);
  assert.equal(problem, undefined);
  return native as Native;
};

/** Waits without turning the loop, so that libuv does not get there first; this test has to steal its child. */
function reapSoon(native: Native, { pid = 0 }: ChildProcess): Reaped | undefined {
  const deadline = performance.now() + 10_000;
  for (let found: Reaped | undefined; performance.now() < deadline; ) {
    found = native.reapOrphan(pid);
    if (found) return found;
  }
  return undefined;
}

test('reapOrphan: how it ended', { skip }, () => {
  const native = load();
  const script = (text: string) => spawn('sh', ['-c', text], { stdio: 'ignore' });
  for (const [text, code, signal] of [
    ['exit 0', 0, null],
    ['exit 7', 7, null],
    ['kill -KILL $$', null, constants.signals.SIGKILL],
  ] as const) {
    const child = script(text);
    assert.deepEqual(reapSoon(native, child), { pid: child.pid, code, signal });
    assert.equal(native.reapOrphan(child.pid ?? 0), undefined, 'once');
    child.unref();
  }
});

test('reapOrphan: what has not ended, what is no child, and never just any child', { skip }, async (t) => {
  const native = load();
  const child = spawn('sleep', ['60'], { stdio: 'ignore' });
  t.after(() => child.kill('SIGKILL'));
  const dead = spawn('true', { stdio: 'ignore' });
  assert.equal(native.reapOrphan(child.pid ?? 0), undefined);
  assert.equal(native.reapOrphan(process.ppid), undefined);
  for (const pid of [-1, 0, 2 ** 40, Number.NaN, '1', undefined]) {
    assert.throws(() => native.reapOrphan(pid as number), /positive integer/);
  }
  assert.deepEqual(await once(dead, 'exit'), [0, null]);
  child.kill('SIGKILL');
  assert.deepEqual(await once(child, 'exit'), [null, 'SIGKILL']);
});

test('a child subreaper', { skip }, () => {
  const script = `const m = { exports: {} }; process.dlopen(m, process.argv[1]);
    const before = m.exports.isChildSubreaper(); m.exports.setChildSubreaper();
    console.log(before, m.exports.isChildSubreaper())`;
  const { stdout } = spawnSync(process.execPath, ['-e', script, file], { encoding: 'utf8' });
  assert.equal(stdout, 'false true\n');
});

/** A process that takes `parent` for its parent, and blocks its event loop. */
function stuck(parent: string): ChildProcess {
  const script = `const m = { exports: {} }; process.dlopen(m, process.argv[1]);
    m.exports.dieWithParent(${parent}, 1); require('fs').writeSync(1, 'armed'); for (;;);`;
  return spawn('nice', ['-n', '19', process.execPath, '-e', script, file], { stdio: ['ignore', 'pipe', 'inherit'] });
}

test('dieWithParent: a parent that was gone before is noticed, a live one is left in peace', { skip }, async (t) => {
  const child = stuck('process.ppid');
  t.after(() => child.kill('SIGKILL'));
  await once(child.stdout as NodeJS.ReadableStream, 'data');
  const orphan = stuck('process.pid');
  t.after(() => orphan.kill('SIGKILL'));
  assert.deepEqual(await once(orphan, 'exit'), [null, 'SIGALRM']);
  assert.equal(child.exitCode ?? child.signalCode, null, 'it had the same second, and longer');
  assert.throws(() => load().dieWithParent(1, 0), /positive integer/, 'it would be no alarm');
});

const RECEIVER = `use Socket; socket(S, AF_UNIX, SOCK_DGRAM, 0); bind(S, pack_sockaddr_un($ARGV[0])) or die $!;
  $| = 1; print "bound\\n"; for (1..2) { recv(S, $m, 4096, 0); $m =~ s/\\n/ /g; print "$m\\n"; }`;

for (const name of [join(directory, 'notify.sock'), `@tsunicorn-test-${process.pid}`]) {
  test(`notify: a datagram to ${name[0] === '@' ? 'an abstract socket' : 'a path'}`, { skip }, async (t) => {
    if (spawnSync('perl', ['-v']).error) return t.skip('there is no perl to play the manager');
    const receiver = spawn('perl', ['-e', RECEIVER.replace('$ARGV[0]', `"${name.replace('@', '\\0')}"`)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    t.after(() => receiver.kill());
    const lines = createInterface({ input: receiver.stdout })[Symbol.asyncIterator]();
    assert.equal((await lines.next()).value, 'bound');
    const log = { warn: (text: string) => assert.fail(text) } as never;
    const notifier = new Notifier({ loaded: { native: load() }, env: { NOTIFY_SOCKET: name }, pid: 1, log });
    notifier.update('ready', '2 of 2 wörkers');
    notifier.update('stopping', '2 of 2 wörkers');
    assert.equal((await lines.next()).value, 'READY=1 STATUS=2 of 2 wörkers');
    assert.equal((await lines.next()).value, 'STOPPING=1');
  });
}

test('notify: what cannot be sent has an errno', { skip }, () => {
  const { ENOENT, ECONNREFUSED, EAFNOSUPPORT, ENAMETOOLONG, EMSGSIZE } = constants.errno;
  for (const [path, message, errno] of [
    [join(directory, 'none.sock'), 'x', ENOENT],
    ['@tsunicorn-test-none', 'x', ECONNREFUSED],
    ['vsock:2:1', 'x', EAFNOSUPPORT],
    ['', 'x', EAFNOSUPPORT],
    [`/${'a'.repeat(107)}`, 'x', ENAMETOOLONG],
    ['/x', 'é'.repeat(1024), EMSGSIZE],
    ['/x', 'é'.repeat(1023), ENOENT],
  ] as const) {
    assert.equal(load().notify(path, message), errno, `${path} ${message.length}`);
  }
});

test('reportStacks: the innermost frames of a stuck process, as many as fit, in its own names', { skip }, async (t) => {
  const script = `const m = { exports: {} }; process.dlopen(m, process.argv[1]);
    console.log(m.exports.reportStacks(3) ?? 'on');
    function wörk() { for (;;); }
    function deeper(n) { return n === 0 ? wörk() : deeper(n - 1); }
    setImmediate(() => deeper(100));`;
  const child = spawn(process.execPath, ['-e', script, file], { stdio: ['ignore', 'pipe', 'inherit', 'pipe'] });
  t.after(() => child.kill('SIGKILL'));
  assert.equal(String(await once(child.stdout as NodeJS.ReadableStream, 'data')), 'on\n');
  // It may not be in its loop yet.
  let frames: string[] = [];
  const diagnostics = new DiagnosticSocket(child.stdio[3] as Readable);
  while (!frames[0]?.startsWith('at wörk ')) {
    const stack = await diagnostics.stack({ pid: child.pid ?? 0, signal: load().stackSignal, waitMs: 250 });
    frames = stack?.split('\n') ?? [];
  }
  assert.equal(frames.length, 30);
  for (const frame of frames.slice(1)) assert.match(frame, /^at deeper \(\[eval\]:4:\d+\)$/);
});

test('reportStacks, reportOutOfMemory: what is no descriptor is refused', { skip }, () => {
  for (const fd of [-1, 'x', undefined]) {
    assert.throws(() => load().reportStacks(fd as number), /descriptor/);
    assert.throws(() => load().reportOutOfMemory(fd as number), /descriptor/);
  }
});

for (const [name, script, said] of [
  ['in one turn of the loop', 'for (;;) kept.push({ a: Math.random(), b: [1, 2, 3] });', 'heap'],
  ['in a collection that helpers ran', 'for (;;) kept.push(new Array(1000).fill(1.5));', 'heap'],
  ['another abort() is none', 'process.abort();', undefined],
] as const) {
  test(`reportOutOfMemory: ${name}; what Node.js does then it does still`, { skip }, async (t) => {
    const program = `const m = { exports: {} }; process.dlopen(m, process.argv[1]);
      console.log(m.exports.reportOutOfMemory(3) ?? 'on');
      const kept = []; setImmediate(() => { ${script} });`;
    const report = ['--report-on-fatalerror', `--report-directory=${directory}`, '--report-filename=report.json'];
    const child = spawn(process.execPath, ['--max-old-space-size=32', ...report, '-e', program, file], {
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    });
    t.after(() => child.kill('SIGKILL'));
    const diagnostics = new DiagnosticSocket(child.stdio[3] as Readable);
    let [out, err] = ['', ''];
    child.stdout?.on('data', (text) => (out += text));
    child.stderr?.on('data', (text) => (err += text));
    assert.deepEqual(await once(child, 'close'), [null, 'SIGABRT']);
    assert.equal(out, 'on\n');
    assert.equal(diagnostics.outOfMemory?.of, said);
    if (said === undefined) return;
    assert.match(err, /FATAL ERROR: .*JavaScript heap out of memory/);
    const { header } = JSON.parse(readFileSync(join(directory, 'report.json'), 'utf8'));
    assert.equal(header.trigger, 'OOMError');
    rmSync(join(directory, 'report.json'));
  });
}

test('unixAcceptQueue: connections that are not accepted yet', { skip }, async (t) => {
  const native = load();
  const path = join(directory, 'queue.sock');
  const server = createServer().listen(path);
  await once(server, 'listening');
  t.after(() => server.close());
  const inode = inodeOf(server);
  assert.equal(native.unixAcceptQueue(inode), 0);
  connectInTheMeantime(path, 3);
  assert.equal(native.unixAcceptQueue(inode), 3);
  assert.equal(native.unixAcceptQueue(2 ** 32 - 1), undefined, 'no such socket');
  for (const bad of [0, 'x', undefined]) assert.throws(() => native.unixAcceptQueue(bad as number));
});

test('trimMemory: what was freed between blocks that are in use goes back to the kernel', { skip }, (t) => {
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
  if (header.glibcVersionRuntime === undefined) return t.skip('the libc has nothing to trim');
  const program = `
    const { trimMemory } = require(process.argv[1]);
    const all = Array.from({ length: 400 }, () => Buffer.alloc(100_000, 1));
    const rest = all.filter((_, i) => i % 4 === 0);
    all.length = 0;
    const freed = () => process.memoryUsage().arrayBuffers < 15_000_000;
    const look = () => {
      gc();
      if (!freed()) return setTimeout(look, 5);
      const before = process.memoryUsage.rss();
      const result = trimMemory();
      console.log(JSON.stringify({ given: before - process.memoryUsage.rss(), result, rest: rest.length }));
    };
    look();`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--expose-gc', '-e', program, file], { encoding: 'utf8' });
  const { given, result, rest } = JSON.parse(stdout || assert.fail(stderr));
  assert.equal(rest, 100);
  assert.equal(result, undefined);
  assert.ok(given > 15_000_000, `${given} of 30 million bytes`);
});

/** Writes to its stdout until nothing is taken, and says on stderr how much was and what the last call answered. */
const FILLER = `const { writeNow } = require(process.argv[1]);
  const block = Buffer.alloc(4096, 'x');
  let [sum, last] = [0];
  try { while ((last = writeNow(1, block)) > 0 && sum < 1e8) sum += last; } catch (error) { last = error.message; }
  require('fs').writeSync(2, JSON.stringify({ sum, last }));`;

test('writeNow: a socket takes what it has room for, without blocking', { skip }, async (t) => {
  const child = spawn(process.execPath, ['-e', FILLER, file], { stdio: ['ignore', 'pipe', 'pipe'] });
  t.after(() => child.kill('SIGKILL'));
  const { sum, last } = JSON.parse(String(await once(child.stderr, 'data')));
  assert.equal(last, 0);
  let received = 0;
  child.stdout.on('data', (bytes: Buffer) => {
    received += bytes.length;
  });
  await once(child, 'close');
  assert.ok(sum > 0);
  assert.equal(received, sum);
});

/** `expected`: the last answer, where there is another than that it cannot be done, as of a pipe before Linux 6.4. */
for (const [what, to, expected] of [
  ['a pipe', '| sleep 60', 0],
  ['a file', '> "$3"', undefined],
] as const) {
  test(`writeNow: ${what}`, { skip }, async (t) => {
    const shell = `"$0" -e "$1" "$2" ${to}`;
    const child = spawn('sh', ['-c', shell, process.execPath, FILLER, file, join(directory, 'file')], {
      stdio: ['ignore', 'ignore', 'pipe'],
      detached: true,
    });
    t.after(() => process.kill(-(child.pid ?? 0), 'SIGKILL'));
    const { sum, last } = JSON.parse(String(await once(child.stderr, 'data')));
    if (last !== undefined) assert.equal(last, expected);
    assert.equal(sum > 0, last === 0);
  });
}

test('writeNow: what cannot be written to', { skip }, () => {
  const { writeNow } = load();
  assert.throws(() => writeNow(9999, Buffer.from('x')), /Bad file descriptor/);
  assert.throws(() => writeNow(-1, Buffer.from('x')), /a descriptor and bytes/);
  assert.throws(() => writeNow(1, 'x' as never), /a descriptor and bytes/);
});
