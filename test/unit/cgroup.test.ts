import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { findCgroup, parseMountinfo } from '../../src/platform/kernel/cgroup.ts';
import { countCpus, parseCpuList } from '../../src/platform/kernel/cpu.ts';
import { type Limits, readLimits } from '../../src/platform/kernel/limits.ts';
import { fileReader, steadyReader } from '../../src/platform/kernel/read-file.ts';
import { MIB, type Tree, trees, writeTree } from '../fixtures/cgroup/trees.ts';

const temporary = mkdtempSync(join(tmpdir(), 'tsunicorn-cgroup-'));
after(() => rmSync(temporary, { recursive: true }));

function plant(tree: Tree): string {
  const root = mkdtempSync(join(temporary, 'root-'));
  writeTree(root, tree);
  return root;
}

/** cgroup, affinity, cpuset, quota, memory in MiB, sources below /sys/fs/cgroup. */
type Row = [
  Limits['cgroup'],
  number | undefined,
  number | undefined,
  number | undefined,
  number | undefined,
  Limits['sources'],
];
const _ = undefined;
/** Sources of v2 limits in one group; of v1 limits in the groups at the mount points. */
const v2 = (group = '') => ({ quota: `${group}cpu.max`, cpuset: `${group}${CPUSET}`, memory: `${group}memory.max` });
const CPUSET = 'cpuset.cpus.effective';
const QUOTA_V1 = 'cpu,cpuacct/cpu.cfs_quota_us';
const v1 = { quota: QUOTA_V1, cpuset: 'cpuset/cpuset.cpus', memory: 'memory/memory.limit_in_bytes' };
const pod = 'kubepods/burstable/pod7e9d5c2a-1f1c-4ba0-8a3c-0f9ad6b7d1c2';
const podV1 = {
  quota: `cpu,cpuacct/${pod}/cpu.cfs_quota_us`,
  cpuset: `cpuset/${pod}/0c5bc2d4a1b3/cpuset.cpus`,
  memory: `memory/${pod}/memory.limit_in_bytes`,
};
const scope =
  'kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod7e9d.slice/cri-containerd:0c5bc2d4a1b3.scope/';
const web = 'app.slice/app-web.slice/web.service/';
const debian = {
  quota: 'cpu/web/cpu.cfs_quota_us',
  cpuset: 'cpuset/cpuset.effective_cpus',
  memory: 'memory/web/memory.limit_in_bytes',
};

const rows: Record<keyof typeof trees, Row> = {
  'Docker v1': ['v1', 8, 8, 1.5, 512, v1],
  'Docker v1, no limit': ['v1', 8, 8, _, _, { cpuset: v1.cpuset }],
  'Docker v2': ['v2', 8, 8, 1.5, 512, v2()],
  'Docker v2, no limit': ['v2', 8, 8, _, _, { cpuset: CPUSET }],
  'Docker v2, half a core': ['v2', 8, 8, 0.5, _, { quota: 'cpu.max', cpuset: CPUSET }],
  'Docker v2, cpuset smaller than quota': ['v2', 8, 3, 4, _, { quota: 'cpu.max', cpuset: CPUSET }],
  'Kubernetes v1, host namespace, pod limit hidden': ['v1', 8, 8, 2.5, 768, { ...v1, memory: 'memory/memory.stat' }],
  'Kubernetes v1, host namespace, whole tree mounted': ['v1', 8, 8, 2.5, 768, podV1],
  'Kubernetes v1, cgroup namespace': ['v1', 8, 4, 2.5, 768, v1],
  'Kubernetes v2, host namespace': ['v2', 8, 8, 2, 1024, v2(scope)],
  'Kubernetes v2, host namespace, own group mounted': ['v2', 8, 8, 1.5, 512, v2()],
  'Kubernetes v2, cgroup namespace': ['v2', 8, 8, 2, 1024, v2()],
  'nested, tightest at the leaf': ['v2', 8, 8, 1.5, 512, v2(web)],
  'nested, tightest in the middle': ['v2', 8, 8, 1.5, 512, { ...v2('app.slice/app-web.slice/'), cpuset: web + CPUSET }],
  'nested, tightest at the top': ['v2', 8, 8, 1.5, 512, { ...v2('app.slice/'), cpuset: web + CPUSET }],
  'systemd service': ['v2', 8, 8, 1.5, 512, { ...v2('system.slice/app.service/'), cpuset: CPUSET }],
  'memory.high below memory.max': ['v2', 8, 8, _, 384, { cpuset: CPUSET, memory: 'memory.high' }],
  'hybrid, Debian': ['hybrid', 8, 6, 1.5, 900, debian],
  'hybrid, memory moved to v2': ['hybrid', 8, _, 1.5, 512, { quota: QUOTA_V1, memory: 'unified/app/memory.max' }],
  'mount point with a space': ['v2', 8, _, 1.5, _, { quota: '/mnt/c group\\/app/cpu.max' }],
  'mount root with a space, colon in the path': ['v2', 8, _, 1.5, _, { quota: 'web:/c/cpu.max' }],
  'mount root is only the beginning of a name': ['v2', 8, 8, 1.5, 512, v2()],
  'group outside the namespace': ['v2', 8, 8, 1.5, 512, v2()],
  'mount from outside the namespace': ['v2', 8, 8, 1.5, 512, v2('web/')],
  "a stranger's mount before one's own": ['v2', 8, 8, 1.5, 512, v2()],
  'group was removed': ['v2', 8, 8, 1.5, 512, v2()],
  'empty cpuset inherits': ['v1', 8, 3, _, _, { cpuset: v1.cpuset }],
  'affinity and cpuset name CPUs that are not plugged in': ['v2', 3, 2, _, _, { cpuset: CPUSET }],
  'unreadable leaf': ['v2', 8, 8, 1.5, 512, v2()],
  'unreadable files': ['v2', _, _, _, _, {}],
  'own group unknown': ['v2', 8, 8, 1.5, 512, v2()],
  'nonsense v2': ['v2', 8, _, _, _, {}],
  'nonsense v1': ['v1', 8, _, _, _, {}],
  'a quota of zero': ['v2', 8, 8, _, _, { cpuset: CPUSET }],
  'nonsense in /proc': ['none', _, _, _, _, {}],
  'no cgroup mounted': ['none', 8, _, _, _, {}],
  'not Linux': ['none', _, _, _, _, {}],
};

describe('readLimits', () => {
  for (const [name, row] of Object.entries(rows) as [keyof typeof trees, Row][]) {
    it(name, () => {
      const [cgroup, affinityCpus, cpusetCpus, quotaCores, memory, sources] = row;
      const limits = readLimits({ root: plant(trees[name]), totalMemoryBytes: 16_384 * MIB, onlineCpus: 8 });
      assert.deepEqual(limits, {
        onlineCpus: 8,
        affinityCpus,
        cpusetCpus,
        quotaCores,
        memoryBytes: memory && memory * MIB,
        cgroup,
        sources: Object.fromEntries(
          Object.entries(sources).map(([key, file]) => [key, file.startsWith('/') ? file : `/sys/fs/cgroup/${file}`]),
        ),
      });
    });
  }

  it('takes a limit above the physical memory for none', () => {
    const root = plant(trees['Docker v2']);
    assert.equal(readLimits({ root, totalMemoryBytes: 512 * MIB }).memoryBytes, 512 * MIB);
    assert.equal(readLimits({ root, totalMemoryBytes: 512 * MIB - 1 }).memoryBytes, undefined);
  });

  it('counts the CPUs that are online, or asks the runtime where there is no sysfs', () => {
    const tree = trees['affinity and cpuset name CPUs that are not plugged in'];
    assert.equal(readLimits({ root: plant(tree) }).onlineCpus, 3);
    assert.ok(readLimits({ root: plant(trees['not Linux']) }).onlineCpus >= 1);
  });

  it('reads a changed limit anew', () => {
    const root = plant(trees['Docker v2']);
    assert.equal(readLimits({ root }).quotaCores, 1.5);
    writeFileSync(join(root, 'sys/fs/cgroup/cpu.max'), '400000 100000\n');
    assert.equal(readLimits({ root }).quotaCores, 4);
  });

  it('keeps what it cannot read just now, and forgets what is not there', () => {
    const tree = trees['Docker v2'];
    const root = plant(tree);
    let trouble: { code: string; at: RegExp } | undefined;
    const read = steadyReader(root, (file) => {
      if (trouble?.at.test(file)) throw Object.assign(new Error(trouble.code), { code: trouble.code });
      return readFileSync(file, 'utf8');
    });
    const look = () => readLimits({ totalMemoryBytes: 16_384 * MIB }, read);
    const before = look();
    assert.deepEqual([before.quotaCores, before.memoryBytes, before.cgroup], [1.5, 512 * MIB, 'v2']);
    for (const code of ['EMFILE', 'ENFILE', 'ENOMEM', 'EIO', 'EAGAIN', 'EINTR']) {
      trouble = { code, at: /./ };
      assert.deepEqual(look(), before, code);
    }
    // One file that cannot be read does not keep the others from being read.
    trouble = { code: 'EIO', at: /memory\.max$/ };
    writeFileSync(join(root, 'sys/fs/cgroup/cpu.max'), '400000 100000\n');
    assert.deepEqual([look().quotaCores, look().memoryBytes], [4, 512 * MIB]);
    for (const code of ['ENOENT', 'ENOTDIR', 'ENODEV', 'EACCES', 'EPERM']) {
      trouble = undefined;
      look();
      trouble = { code, at: /\/sys\/fs\/cgroup\// };
      const { quotaCores, cpusetCpus, memoryBytes } = look();
      assert.deepEqual([quotaCores, cpusetCpus, memoryBytes], [undefined, undefined, undefined], code);
    }
    // What was gone in between is not known any more.
    trouble = { code: 'EMFILE', at: /./ };
    assert.equal(look().memoryBytes, undefined);
  });

  it('has nothing to keep where the first look fails', () => {
    const read = steadyReader('/', () => {
      throw Object.assign(new Error(), { code: 'EMFILE' });
    });
    const limits = readLimits({}, read);
    assert.deepEqual([limits.cgroup, limits.memoryBytes, limits.affinityCpus], ['none', undefined, undefined]);
    assert.ok(limits.onlineCpus >= 1);
  });

  it('reads the machine it runs on', () => {
    const limits = readLimits();
    assert.ok(limits.onlineCpus >= 1);
    if (process.platform === 'linux') assert.ok((limits.affinityCpus ?? 0) >= 1);
  });
});

describe('findCgroup', () => {
  it('gives the directories of a controller from the own group to the visible root', () => {
    const find = (name: keyof typeof trees) => findCgroup(fileReader(plant(trees[name])));
    assert.deepEqual(find('systemd service').memory, {
      version: 2,
      directories: ['/sys/fs/cgroup/system.slice/app.service', '/sys/fs/cgroup/system.slice', '/sys/fs/cgroup'],
    });
    assert.deepEqual(find('Docker v1').cpu, { version: 1, directories: ['/sys/fs/cgroup/cpu,cpuacct'] });
    assert.equal(find('not Linux').cpu, undefined);
  });
});

describe('parseMountinfo', () => {
  it('undoes the escapes once, and skips optional fields in any number', () => {
    const text = [
      '36 35 98:0 /a\\134040b /mnt\\040x\\011y\\012z rw,noatime master:1 propagate_from:2 - cgroup2 cgroup2 rw,nsdelegate',
      '37 35 98:0 / /plain rw - cgroup cgroup rw,cpu,cpuacct',
    ].join('\n');
    assert.deepEqual(parseMountinfo(text), [
      { root: '/a\\040b', mountPoint: '/mnt x\ty\nz', type: 'cgroup2', superOptions: ['rw', 'nsdelegate'] },
      { root: '/', mountPoint: '/plain', type: 'cgroup', superOptions: ['rw', 'cpu', 'cpuacct'] },
    ]);
  });
});

describe('parseCpuList', () => {
  const lists: [string, number[] | undefined][] = [
    ['0', [0]],
    ['0-3,7\n', [0, 1, 2, 3, 7]],
    ['0-1,1-2', [0, 1, 2]],
    ['', undefined],
    ['\n', undefined],
    ['3-1', undefined],
    ['0-99999999', undefined],
    ['0-', undefined],
    ['-1', undefined],
    ['0,,1', undefined],
    ['0x1', undefined],
  ];
  for (const [text, cpus] of lists) {
    it(`reads ${JSON.stringify(text)}`, () => {
      const parsed = parseCpuList(text);
      assert.deepEqual(parsed && [...parsed], cpus);
    });
  }

  it('counts none where all CPUs of a list are offline', () => {
    assert.equal(countCpus('4-7', new Set([0, 1])), undefined);
    assert.equal(countCpus('0-7', undefined), 8);
  });
});
