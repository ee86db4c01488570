/** Runs a classic BPF program over a packet as the kernel does: the manual is Documentation/networking/filter.rst. */
import { type Instruction, OP } from '../../src/platform/sticky-filter.ts';

const NETWORK_HEADER = -0x100000;

/** @param packet from its IP header on */
export function runFilter(program: readonly Instruction[], packet: Uint8Array): number {
  const bytes = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
  let a = 0;
  let x = 0;
  for (let pc = 0; pc < program.length; pc++) {
    const { op, k, jt = 0, jf = 0 } = program[pc] as Instruction;
    switch (op) {
      case OP.loadByte:
        a = bytes.getUint8(k - NETWORK_HEADER);
        break;
      case OP.loadWord:
        a = bytes.getUint32(k - NETWORK_HEADER);
        break;
      case OP.loadX:
        x = k;
        break;
      case OP.add:
        a = (a + k) >>> 0;
        break;
      case OP.mul:
        a = Math.imul(a, k) >>> 0;
        break;
      case OP.rshift:
        a >>>= k;
        break;
      case OP.xorX:
        a = (a ^ x) >>> 0;
        break;
      case OP.jumpIfEqual:
        pc += a === k ? jt : jf;
        break;
      case OP.jumpIfAtLeast:
        pc += a >= k ? jt : jf;
        break;
      case OP.aToX:
        x = a;
        break;
      case OP.xToA:
        a = x;
        break;
      case OP.returnA:
        return a;
      default:
        op satisfies never;
    }
  }
  throw new Error('the program does not end');
}

/** The header of a packet from this IPv4 or full IPv6 address (eight groups, none left out). */
export function packetFrom(address: string): Uint8Array {
  const packet = Buffer.alloc(40);
  if (address.includes(':')) {
    packet[0] = 0x60;
    for (const [i, group] of address.split(':').entries()) packet.writeUInt16BE(Number.parseInt(group, 16), 8 + 2 * i);
  } else {
    packet[0] = 0x45;
    packet.set(address.split('.').map(Number), 12);
  }
  return packet;
}
