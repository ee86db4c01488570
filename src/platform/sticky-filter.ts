/**
 * The classic BPF program of `TSUNICORN_STICKY=ip`: from a client's address to the slot of its worker. Pure.
 * docs/decisions/0017-sticky.md has the listing, the figures and the sources.
 */
import { endianness } from 'node:os';

/** linux/bpf_common.h, linux/filter.h. A is the accumulator, X the index register; K is the instruction's constant. */
export const OP = {
  loadByte: 0x30,
  loadWord: 0x20,
  loadX: 0x01,
  add: 0x04,
  mul: 0x24,
  rshift: 0x74,
  xorX: 0xac,
  jumpIfEqual: 0x15,
  jumpIfAtLeast: 0x35,
  aToX: 0x07,
  xToA: 0x87,
  returnA: 0x16,
} as const;

export interface Instruction {
  readonly op: (typeof OP)[keyof typeof OP];
  readonly k: number;
  /** Instructions to skip if the condition holds, and if not. */
  readonly jt?: number;
  readonly jf?: number;
}

/** SKF_NET_OFF: offsets from here on count from the IP header; plain ones from the payload. */
const NETWORK_HEADER = -0x100000;
/** The source address in IPv4 (RFC 791), and words 1 and 2 of the one in IPv6 (RFC 8200). */
const SOURCE = 12;
const SOURCE_V6_HIGH = 8;

/** Steps of murmur3's 32-bit finalizer (public domain): neighbouring addresses get unrelated numbers. */
const MIX = [
  [16, 0x85ebca6b],
  [13, 0xc2b2ae35],
] as const;
/** A linear congruential generator modulo 2^32 (Knuth, TAOCP 3.3.4, table 1, line 16). */
const LCG = { mul: 1664525, add: 1013904223 } as const;

/**
 * Of an IPv6 address only the first 64 bits count: privacy extensions (RFC 8981) change the others every day.
 *
 * The slot is found by a jump hash (Lamping and Veach, 2014), one round for each slot: slot k is taken over from those
 * before it with a probability of 1 in k + 1. So one more slot takes its share of the clients from all others, and no
 * client moves between those. At four instructions a slot, 1000 slots fit into the 4096 that the kernel takes.
 */
export function stickyProgram(slots: number): Instruction[] {
  const program: Instruction[] = [
    { op: OP.loadX, k: 0 },
    { op: OP.loadByte, k: NETWORK_HEADER },
    { op: OP.rshift, k: 4 }, // the version
    { op: OP.jumpIfEqual, k: 6, jt: 0, jf: 3 },
    { op: OP.loadWord, k: NETWORK_HEADER + SOURCE_V6_HIGH },
    { op: OP.mul, k: 0x9e3779b1 }, // 2^32 ÷ the golden ratio
    { op: OP.aToX, k: 0 },
    { op: OP.loadWord, k: NETWORK_HEADER + SOURCE },
    { op: OP.xorX, k: 0 },
  ];
  const shiftedInto = (k: number): Instruction[] => [
    { op: OP.aToX, k: 0 },
    { op: OP.rshift, k },
    { op: OP.xorX, k: 0 },
  ];
  for (const [shift, k] of MIX) program.push(...shiftedInto(shift), { op: OP.mul, k });
  program.push(...shiftedInto(16), { op: OP.loadX, k: 0 });
  for (let slot = 1; slot < slots; slot++) {
    program.push({ op: OP.mul, k: LCG.mul }, { op: OP.add, k: LCG.add });
    program.push({ op: OP.jumpIfAtLeast, k: Math.floor(2 ** 32 / (slot + 1)), jt: 1, jf: 0 });
    program.push({ op: OP.loadX, k: slot });
  }
  program.push({ op: OP.xToA, k: 0 }, { op: OP.returnA, k: 0 });
  return program;
}

/** struct sock_filter: `__u16 code; __u8 jt, jf; __u32 k`, in the machine's byte order. */
export function encode(program: readonly Instruction[]): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(program.length * 8));
  const little = endianness() === 'LE';
  program.forEach(({ op, k, jt = 0, jf = 0 }, i) => {
    bytes.setUint16(i * 8, op, little);
    bytes.setUint8(i * 8 + 2, jt);
    bytes.setUint8(i * 8 + 3, jf);
    bytes.setUint32(i * 8 + 4, k, little);
  });
  return new Uint8Array(bytes.buffer);
}
