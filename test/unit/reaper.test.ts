import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { loadNative, type Native } from '../../src/platform/native/native.ts';
import { childrenOf, startReaper } from '../../src/platform/reaper.ts';

type Files = Readonly<Record<string, string>>;

function tree(t: TestContext, files: Files): string {
  const root = mkdtempSync(join(tmpdir(), 'tsunicorn-proc-'));
  t.after(() => rmSync(root, { recursive: true }));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

const CHILDREN = 'proc/7/task/7/children';
const CASES: readonly [string, Files, readonly number[]][] = [
  ['the list of the main thread', { [CHILDREN]: '8 9 10 ' }, [8, 9, 10]],
  ['none', { [CHILDREN]: '' }, []],
  ['children of other threads are left alone', { [CHILDREN]: '8 ', 'proc/7/task/70/children': '9 ' }, [8]],
  ['no list: parents in stat', { 'proc/8/stat': '8 (sh) Z 7 8 8', 'proc/9/stat': '9 (sh) S 8 8 8' }, [8]],
  ['names with blanks and parentheses', { 'proc/8/stat': '8 (a) S 1 (b) c) Z 7 8 8' }, [8]],
  ['what is no process', { 'proc/version': 'Linux 7 7 7', 'proc/self/stat': '8 (sh) S 7 8' }, []],
  ['a process that just went', { 'proc/8/cmdline': '' }, []],
  ['no /proc', {}, []],
];

for (const [what, files, expected] of CASES) {
  test(`children: ${what}`, (t) => assert.deepEqual(childrenOf(7, tree(t, files)), expected));
}

/** A kernel with zombies; what is asked of it is noted. */
class World {
  readonly zombies = new Set([8, 9]);
  readonly asked: number[] = [];
  readonly reaped: number[] = [];
  readonly log: string[] = [];
  readonly process: EventEmitter & { pid: number };
  subreaper = false;

  constructor(pid: number) {
    this.process = Object.assign(new EventEmitter(), { pid });
  }

  start(root: string, { ours = [] as number[], present = true } = {}): () => void {
    const native = {
      isChildSubreaper: () => this.subreaper,
      reapOrphan: (pid: number) => {
        this.asked.push(pid);
        return this.zombies.delete(pid) ? { pid, code: 0, signal: null } : undefined;
      },
    } as Native;
    return startReaper({
      loaded: present ? { native } : { problem: 'it is not there' },
      process: this.process as never,
      isOurs: (pid) => ours.includes(pid),
      reaped: ({ pid }) => this.reaped.push(pid),
      log: { debug: () => {}, warn: (text: string) => this.log.push(text) } as never,
      root,
    });
  }
}

test('a child of libuv is never waited for, zombie or not', (t) => {
  const root = tree(t, { 'proc/1/task/1/children': '8 9 10 ' });
  const world = new World(1);
  const stop = world.start(root, { ours: [9] });
  assert.deepEqual(world.reaped, [8], 'what was there before');
  world.zombies.add(10);
  world.process.emit('SIGCHLD');
  assert.deepEqual(world.reaped, [8, 10]);
  assert.ok(!world.asked.includes(9));
  assert.deepEqual([...world.zombies], [9]);
  stop();
  assert.equal(world.process.listenerCount('SIGCHLD'), 0);
});

test('an orphan whose signal went by is found by the timer, until that is stopped', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const root = tree(t, { 'proc/1/task/1/children': '10 ' });
  const world = new World(1);
  const stop = world.start(root);
  for (const expected of [[10], [10, 10]]) {
    world.zombies.add(10);
    t.mock.timers.tick(5_000);
    assert.deepEqual(world.reaped, expected);
  }
  stop();
  world.zombies.add(10);
  t.mock.timers.tick(25_000);
  assert.deepEqual(world.reaped, [10, 10]);
});

const DUTIES = [
  { what: 'PID 1', pid: 1, reaps: true },
  { what: 'a child subreaper', pid: 7, subreaper: true, reaps: true },
  { what: 'any other process', pid: 7, reaps: false },
  {
    what: 'PID 1 without the native part',
    pid: 1,
    present: false,
    reaps: false,
    warns: /npm run build.*--init.*not there/,
  },
  { what: 'any other without the native part', pid: 7, present: false, reaps: false },
] as const;

for (const duty of DUTIES) {
  test(`${duty.what} ${duty.reaps ? 'reaps' : 'does not reap'}`, (t) => {
    const world = new World(duty.pid);
    world.subreaper = 'subreaper' in duty;
    const stop = world.start(tree(t, { [`proc/${duty.pid}/task/${duty.pid}/children`]: '8 9 ' }), {
      present: !('present' in duty),
    });
    assert.deepEqual(world.reaped, duty.reaps ? [8, 9] : []);
    assert.equal(world.process.listenerCount('SIGCHLD'), duty.reaps ? 1 : 0);
    assert.equal(world.log.length, 'warns' in duty ? 1 : 0);
    if ('warns' in duty) assert.match(world.log[0] ?? '', duty.warns);
    stop();
  });
}

test('a native part that is not there, or is for another system, is a problem and no exception', (t) => {
  const root = tree(t, { 'tsunicorn.node': 'not an ELF file' });
  assert.match(loadNative(join(root, 'none.node')).problem ?? '', /none\.node/);
  assert.match(loadNative(join(root, 'tsunicorn.node')).problem ?? '', /tsunicorn\.node/);
});
