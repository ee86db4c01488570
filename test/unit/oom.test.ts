import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { OomKills, readOomKills } from '../../src/platform/kernel/usage.ts';

function tree(t: { after(fn: () => unknown): void }, files: Record<string, string>): string {
  const root = mkdtempSync(join(tmpdir(), 'tsunicorn-oom-'));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
  return root;
}

const V2 = {
  'proc/self/mountinfo': '30 20 0:25 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n',
  'proc/self/cgroup': '0::/app\n',
};
const V1 = {
  'proc/self/mountinfo': '30 20 0:25 /docker/ab /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n',
  'proc/self/cgroup': '4:memory:/docker/ab\n',
};

describe('the count of out-of-memory kills', () => {
  const rows: [name: string, files: Record<string, string>, count: number | undefined][] = [
    ['of v2', { ...V2, 'sys/fs/cgroup/app/memory.events': 'low 0\nhigh 1\nmax 9\noom 3\noom_kill 2\n' }, 2],
    ['of v2 with group kills', { ...V2, 'sys/fs/cgroup/app/memory.events': 'oom_kill 2\noom_group_kill 7\n' }, 2],
    ['of v1', { ...V1, 'sys/fs/cgroup/memory/memory.oom_control': 'oom_kill_disable 0\nunder_oom 0\noom_kill 5\n' }, 5],
    ['of an old kernel', { ...V1, 'sys/fs/cgroup/memory/memory.oom_control': 'under_oom 0\n' }, undefined],
    ['of v2 at its root', V2, undefined],
    ['without cgroups', {}, undefined],
  ];
  for (const [name, files, count] of rows) {
    it(`${name}: ${count}`, (t) => assert.equal(readOomKills(tree(t, files)), count));
  }
});

describe('a death by SIGKILL', () => {
  it('is explained by a rise, once for each kill', () => {
    let count: number | undefined = 3;
    const kills = new OomKills(() => count);
    assert.equal(kills.explains(0), false);
    count = 4;
    assert.equal(kills.explains(10), true);
    assert.equal(kills.explains(20), false);
    count = 6; // two at once
    assert.deepEqual([kills.explains(5000), kills.explains(5010), kills.explains(5020)], [true, true, false]);
  });

  it('is not explained by kills of long ago', () => {
    let count = 0;
    const kills = new OomKills(() => count);
    count = 5; // one worker, and processes that it had started
    assert.equal(kills.explains(0), true);
    assert.equal(kills.explains(60_000), false);
  });

  it('is not explained by the kill of another process, once that was looked at a while ago', () => {
    let count = 0;
    const kills = new OomKills(() => count);
    count = 1;
    kills.look(0);
    count = 2;
    kills.look(5_000);
    assert.equal(kills.explains(6_000), true);
    assert.equal(kills.explains(6_010), false);
    count = 3;
    kills.look(10_000);
    kills.look(15_000);
    assert.equal(kills.explains(15_000), false);
  });

  it('is not explained where the kernel does not count', () => {
    assert.equal(new OomKills(() => undefined).explains(0), false);
  });
});
