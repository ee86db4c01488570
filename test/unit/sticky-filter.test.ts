/** The program of TSUNICORN_STICKY=ip by itself; test/process/sticky.test.ts compares it with the kernel. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encode, stickyProgram } from '../../src/platform/sticky-filter.ts';
import { packetFrom, runFilter } from '../support/classic-bpf.ts';

const slotOf = (address: string, slots: number): number => runFilter(stickyProgram(slots), packetFrom(address));

/** A linear congruential generator (Numerical Recipes), so that each run has the same addresses. */
function* randomWords(): Generator<number> {
  for (let word = 1; ; ) {
    word = (Math.imul(word, 1664525) + 12345) >>> 0;
    yield word;
  }
}

function some(count: number, make: (word: number, i: number) => string): string[] {
  const words = randomWords();
  return Array.from({ length: count }, (_, i) => make(words.next().value, i));
}

const v4 = (word: number): string => [24, 16, 8, 0].map((shift) => (word >>> shift) & 255).join('.');
const v6 = (word: number): string => `2001:db8:${(word >>> 16).toString(16)}:${(word & 0xffff).toString(16)}:0:0:0:1`;

const CROWDS: Readonly<Record<string, string[]>> = {
  'random IPv4': some(1000, v4),
  'neighbours in 10.0.0.0/8': some(1000, (_, i) => v4(0x0a000001 + i)),
  'one of each /16': some(1000, (_, i) => v4(0x0b000001 + i * 65536)),
  'random IPv6 /64': some(1000, v6),
  'neighbouring IPv6 /64': some(1000, (_, i) => v6(0x00010000 + i)),
};

for (const [name, addresses] of Object.entries(CROWDS)) {
  for (const slots of [2, 4, 7, 16]) {
    test(`1000 ${name} over ${slots} slots`, () => {
      const counts = Array<number>(slots).fill(0);
      for (const address of addresses) counts[slotOf(address, slots)] = (counts[slotOf(address, slots)] ?? 0) + 1;
      const mean = 1000 / slots;
      // Four standard deviations of a binomial count.
      const most = 4 * Math.sqrt(mean * (1 - 1 / slots));
      for (const count of counts) assert.ok(Math.abs(count - mean) < most, counts.join(' '));
    });
  }
}

test('one more slot takes its share from the others, and no client moves between those', () => {
  for (let slots = 1; slots < 12; slots++) {
    const moved =
      CROWDS['random IPv4']?.filter((address) => slotOf(address, slots) !== slotOf(address, slots + 1)) ?? [];
    assert.ok(moved.every((address) => slotOf(address, slots + 1) === slots));
    const share = 1000 / (slots + 1);
    assert.ok(Math.abs(moved.length - share) < 4 * Math.sqrt(share), `${moved.length} of ${share}`);
  }
});

test('the second half of an IPv6 address does not count', () => {
  for (const address of CROWDS['random IPv6 /64'] ?? []) {
    assert.equal(slotOf(address, 64), slotOf(address.replace(/0:0:0:1$/, 'aaaa:bbbb:cccc:dddd'), 64));
  }
});

test('struct sock_filter', () => {
  const bytes = encode(stickyProgram(4));
  assert.equal(bytes.length, stickyProgram(4).length * 8);
  // ldb [-1048576+0]; jeq #6, 0, 3 (linux/filter.h; this machine and every other that Node.js is built for: little-endian)
  assert.deepEqual([...bytes.subarray(8, 16)], [0x30, 0, 0, 0, 0x00, 0x00, 0xf0, 0xff]);
  assert.deepEqual([...bytes.subarray(24, 32)], [0x15, 0, 0, 3, 6, 0, 0, 0]);
});
