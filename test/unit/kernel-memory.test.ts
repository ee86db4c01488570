import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { chargedBytes, memoryGroup, neededBytes } from '../../src/platform/kernel/memory.ts';
import { memoryLimits } from './memory-limits.ts';

describe('the group whose memory limit counts', () => {
  for (const [source, version, usage] of [
    ['/sys/fs/cgroup/memory.max', 2, '/sys/fs/cgroup/memory.current'],
    ['/sys/fs/cgroup/pod/memory.high', 2, '/sys/fs/cgroup/pod/memory.current'],
    ['/sys/fs/cgroup/memory/memory.limit_in_bytes', 1, '/sys/fs/cgroup/memory/memory.usage_in_bytes'],
    ['/sys/fs/cgroup/memory/memory.stat', 1, '/sys/fs/cgroup/memory/memory.usage_in_bytes'],
  ] as const) {
    it(`with the limit from ${source}`, () => {
      const group = memoryGroup(memoryLimits(1000, source));
      assert.equal(group?.version, version);
      assert.equal(group.usageFile, usage);
      assert.equal(group.limitBytes, 1000);
    });
  }

  it('is none without a limit', () => assert.equal(memoryGroup(memoryLimits(undefined)), undefined));

  it('needs what it is charged with, without page cache that is not mapped', () => {
    const files: Record<string, string> = {
      '/v2/memory.current': '900\n',
      '/v2/memory.stat': 'anon 400\nfile 500\nfile_mapped 60\ninactive_file 300\nactive_file 200\n',
      '/v1/memory.usage_in_bytes': '900\n',
      '/v1/memory.stat':
        'inactive_file 1\nmapped_file 1\nactive_file 1\ntotal_mapped_file 60\ntotal_inactive_file 300\ntotal_active_file 200\n',
    };
    const read = (path: string): string | undefined => files[path];
    for (const source of ['/v2/memory.max', '/v1/memory.limit_in_bytes']) {
      const group = memoryGroup(memoryLimits(1000, source)) ?? assert.fail();
      assert.equal(chargedBytes(group, read), 900);
      assert.equal(neededBytes(group, 900, read), 900 - 440);
      assert.equal(
        chargedBytes(group, () => undefined),
        undefined,
      );
      assert.equal(
        neededBytes(group, 900, () => undefined),
        undefined,
      );
    }
  });
});
