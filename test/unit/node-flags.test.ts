import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { it } from 'node:test';
import { nodeFlags } from '../../src/arbiter/worker-process.ts';

const MIB = 2 ** 20;
const HEAP = '--max-old-space-size=300';

type Row = [
  what: string,
  settings: { workerHeap: 'auto' | 'off' | number; nodeOptions: string[] },
  heapBytes: number | undefined,
  nodeOptions: string | undefined,
  flags: string[],
];
const auto = { workerHeap: 'auto' as const, nodeOptions: [] };

const rows: Row[] = [
  ['what sizing decided', auto, 300 * MIB, undefined, [HEAP]],
  ['nothing decided', auto, undefined, undefined, []],
  ['off', { ...auto, workerHeap: 'off' }, undefined, undefined, []],
  ['whole MiB', auto, 300.9 * MIB, undefined, [HEAP]],
  [
    'own flags come last, where they win',
    { ...auto, nodeOptions: ['--max-old-space-size=99', '--import', './a b.js'] },
    300 * MIB,
    undefined,
    [HEAP, '--max-old-space-size=99', '--import', './a b.js'],
  ],
  [
    'own flags alone',
    { ...auto, nodeOptions: ['--enable-source-maps'] },
    undefined,
    undefined,
    ['--enable-source-maps'],
  ],
  ['NODE_OPTIONS decides', auto, 300 * MIB, '--max-old-space-size=500', []],
  ['NODE_OPTIONS decides, in the form with underscores', auto, 300 * MIB, '--max_old_space_size=500', []],
  ['NODE_OPTIONS decides, in the mixed form', auto, 300 * MIB, '--max-old_space-size=500', []],
  ['NODE_OPTIONS decides, with a space', auto, 300 * MIB, '--max-old-space-size 500', []],
  ['NODE_OPTIONS decides, as a percentage', auto, 300 * MIB, '--max-old-space-size-percentage=50', []],
  ['NODE_OPTIONS decides, among others', auto, 300 * MIB, '  --no-warnings\t--max-old-space-size=500 -r ./x.js', []],
  ['NODE_OPTIONS decides, in quotes', auto, 300 * MIB, '"--max-old-space-size=500"', []],
  ['NODE_OPTIONS says nothing of it', auto, 300 * MIB, '--no-warnings --max-semi-space-size=16', [HEAP]],
  ['NODE_OPTIONS names it as part of something else', auto, 300 * MIB, '-r ./--max-old-space-size=5', [HEAP]],
  ['NODE_OPTIONS is empty', auto, 300 * MIB, '', [HEAP]],
  [
    'a size that was set wins over NODE_OPTIONS',
    { ...auto, workerHeap: 300 * MIB },
    300 * MIB,
    '--max-old-space-size=500',
    [HEAP],
  ],
];

for (const [what, settings, heapBytes, nodeOptions, flags] of rows) {
  it(`flags of a worker: ${what}`, () => {
    assert.deepEqual(nodeFlags(settings, heapBytes, nodeOptions), flags);
  });
}

it('Node.js takes the last of two heap limits', () => {
  const flags = nodeFlags({ workerHeap: 'auto', nodeOptions: ['--max-old-space-size=64'] }, 300 * MIB);
  const print = 'process.stdout.write(String(v8.getHeapStatistics().heap_size_limit))';
  const limit = Number(execFileSync(process.execPath, [...flags, '-e', print], { encoding: 'utf8', env: {} }));
  assert.ok(limit < 200 * MIB, `${limit}`);
});
