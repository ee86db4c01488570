import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { readUsage, type Usage } from '../../src/platform/kernel/usage.ts';
import { MIB, type Tree, trees, writeTree } from '../fixtures/cgroup/trees.ts';

const temporary = mkdtempSync(join(tmpdir(), 'tsunicorn-usage-'));
after(() => rmSync(temporary, { recursive: true }));

function usageOf(...planted: Tree[]): Usage {
  const root = mkdtempSync(join(temporary, 'root-'));
  for (const tree of planted) writeTree(root, tree);
  return readUsage({ root, totalMemoryBytes: 16 * 1024 * MIB, onlineCpus: 8 });
}

const CG = 'sys/fs/cgroup';
const WEB = `${CG}/app.slice/app-web.slice/web.service`;

/** What a kernel counts in a group of v2. `n` tells the groups apart. */
const v2 = (directory: string, n: number): Tree => ({
  [`${directory}/cpu.stat`]: `usage_usec 900\nuser_usec 500\nsystem_usec 400\nnr_periods ${n}00\nnr_throttled ${n}0\nthrottled_usec ${n}500000\nnr_bursts 0\nburst_usec 0`,
  [`${directory}/memory.current`]: String(n * 100 * MIB),
  [`${directory}/memory.stat`]: `anon 5\nfile 7\ninactive_anon 1\nactive_anon 2\ninactive_file ${n * 10 * MIB}\nactive_file 3`,
  [`${directory}/memory.events`]: `low 0\nhigh 4\nmax 9\noom 3\noom_kill ${n}\noom_group_kill 0`,
  [`${directory}/cpu.pressure`]: `some avg10=1.00 avg60=0.50 avg300=0.10 total=${n}250000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=99`,
  [`${directory}/memory.pressure`]: `some avg10=0.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=99`,
});

const v1 = (cpu: string, memory: string): Tree => ({
  [`${cpu}/cpu.stat`]: 'nr_periods 600\nnr_throttled 70\nthrottled_time 8500000000\nnr_bursts 0\nburst_time 0',
  [`${memory}/memory.usage_in_bytes`]: String(200 * MIB),
  [`${memory}/memory.oom_control`]: 'oom_kill_disable 0\nunder_oom 0\noom_kill 2',
});
const v1MemoryStat = `cache 0\nrss 0\ninactive_file 1\nhierarchical_memory_limit ${512 * MIB}\ntotal_inactive_file ${50 * MIB}`;

describe('usage', () => {
  it('of a container on v2', () => {
    assert.deepEqual(usageOf(trees['Docker v2'], v2(CG, 2)), {
      quotaCores: 1.5,
      periods: 200,
      throttledPeriods: 20,
      throttledSeconds: 2.5,
      memoryLimitBytes: 512 * MIB,
      memoryUsageBytes: 200 * MIB,
      memoryWorkingSetBytes: 180 * MIB,
      oomKills: 2,
      pressureSeconds: { cpu: 2.25, memory: 0 },
    });
  });

  it('of a container on v1, where nothing is known of pressure', () => {
    const groups = v1(`${CG}/cpu,cpuacct`, `${CG}/memory`);
    const tree = { ...trees['Docker v1'], ...groups, [`${CG}/memory/memory.stat`]: v1MemoryStat };
    assert.deepEqual(usageOf(tree), {
      quotaCores: 1.5,
      periods: 600,
      throttledPeriods: 70,
      throttledSeconds: 8.5,
      memoryLimitBytes: 512 * MIB,
      memoryUsageBytes: 200 * MIB,
      memoryWorkingSetBytes: 150 * MIB,
      oomKills: 2,
      pressureSeconds: {},
    });
  });

  it('is that of the group with the limit, and the pressure that of the own group', () => {
    const groups = { ...v2(WEB, 1), ...v2(`${CG}/app.slice/app-web.slice`, 2), ...v2(`${CG}/app.slice`, 3) };
    for (const [name, n] of [
      ['nested, tightest at the leaf', 1],
      ['nested, tightest in the middle', 2],
      ['nested, tightest at the top', 3],
    ] as const) {
      const usage = usageOf(trees[name], groups);
      assert.equal(usage.periods, n * 100, name);
      assert.equal(usage.memoryUsageBytes, n * 100 * MIB, name);
      assert.equal(usage.oomKills, n, name);
      assert.deepEqual(usage.pressureSeconds, { cpu: 1.25, memory: 0 }, name);
    }
  });

  it('of a group without limits is what it counts all the same', () => {
    const usage = usageOf(trees['Docker v2, no limit'], v2(CG, 4));
    assert.deepEqual([usage.quotaCores, usage.memoryLimitBytes], [undefined, undefined]);
    assert.deepEqual([usage.periods, usage.memoryUsageBytes, usage.oomKills], [400, 400 * MIB, 4]);
  });

  it('of a kernel that does not tell is unknown, and never 0', () => {
    const unknown = {
      quotaCores: undefined,
      periods: undefined,
      throttledPeriods: undefined,
      throttledSeconds: undefined,
      memoryLimitBytes: undefined,
      memoryUsageBytes: undefined,
      memoryWorkingSetBytes: undefined,
      oomKills: undefined,
      pressureSeconds: {},
    };
    assert.deepEqual(usageOf({}), unknown);
    const root = {
      [`${CG}/cpu.stat`]: 'usage_usec 900\nuser_usec 500',
      [`${CG}/memory.current`]: 'nonsense',
      [`${CG}/memory.events`]: 'low 0',
      [`${CG}/cpu.pressure`]: 'nonsense',
    };
    assert.deepEqual(usageOf(trees['Docker v2, no limit'], root), unknown);
  });
});
