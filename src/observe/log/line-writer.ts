/**
 * Puts lines together as bytes, straight into the block that is written later. No text is built on the way: pieces of
 * strings joined and copied were two thirds of what a line cost (docs/decisions/0005-hot-path.md).
 */
import type { LogDestination } from './destination.ts';

/** The longest escape of one UTF-16 unit: `\u00e9` in JSON. */
const LONGEST_ESCAPE = 6;
/** 2^53 has 16. */
const LONGEST_NUMBER = 16;
/** Beyond the block, so that a line that crosses its end need not be moved while it is written. */
const LINE_ROOM = 8 * 1024;

/** One byte each: printable ASCII but for quote and backslash, which every form escapes. */
const PLAIN = new Uint8Array(256);
for (let unit = 0x20; unit < 0x7f; unit++) PLAIN[unit] = unit === 0x22 || unit === 0x5c ? 0 : 1;

/** Up to here a loop costs less than the call that copies a longer text or constant at once (20 ns). */
const SHORT = 12;

/** `000` to `999`, one after another. */
const THREE_DIGITS = Buffer.from(Array.from({ length: 1000 }, (_, n) => String(n).padStart(3, '0')).join(''), 'latin1');

const HEX_DIGITS = Buffer.from('0123456789abcdef', 'latin1');

/** Node.js' own, which its types leave out: `write(text, at, 'utf8')` without a look at the encoding's name. */
type Block = Buffer & { utf8Write(text: string, at: number): number };

/** Escapes one UTF-16 unit that is not plain; the result is ASCII. */
export type Escape = (unit: number) => string;

export class LineWriter {
  /** Whole lines, and the one that is being written. */
  #bytes: Block;
  #at = 0;
  #lineStart = 0;
  readonly #blockSize: number;
  readonly #destination: Pick<LogDestination, 'write' | 'spare'>;

  /** Lines go to `destination` whole, in blocks of its size, except for a line that is longer by itself. */
  constructor(destination: Pick<LogDestination, 'write' | 'spare' | 'blockSize'>) {
    this.#blockSize = destination.blockSize;
    this.#destination = destination;
    this.#bytes = this.#fresh();
  }

  /** Bytes that are written as they are. */
  constant(bytes: Uint8Array): void {
    const { length } = bytes;
    this.#reserve(length);
    if (length > SHORT) this.#bytes.set(bytes, this.#at);
    else for (let i = 0; i < length; i++) this.#bytes[this.#at + i] = bytes[i] as number;
    this.#at += length;
  }

  /** `text`; what is not plain goes through `toAscii`. */
  text(text: string, toAscii: Escape): void {
    const { length } = text;
    if (length <= SHORT) return this.part(text, toAscii, 0, length);
    this.#reserve(length * LONGEST_ESCAPE);
    // Copied whole, checked where it lies: as UTF-8, of which no byte is plain where the text was not.
    const end = this.#at + this.#bytes.utf8Write(text, this.#at);
    let plain = 1;
    for (let i = this.#at; i < end; i++) plain &= PLAIN[this.#bytes[i] as number] as number;
    if (plain === 1) this.#at = end;
    else this.part(text, toAscii, 0, length);
  }

  /** A part of a text, unit by unit. */
  part(text: string, toAscii: Escape, from: number, to: number): void {
    this.#reserve((to - from) * LONGEST_ESCAPE);
    const target = this.#bytes;
    let at = this.#at;
    for (let i = from; i < to; i++) {
      const unit = text.charCodeAt(i);
      if (unit < 0x80 && PLAIN[unit] === 1) target[at++] = unit;
      else at += target.write(toAscii(unit), at, 'latin1');
    }
    this.#at = at;
  }

  /** A whole number from 0 to 2^53. */
  integer(value: number): void {
    this.#reserve(LONGEST_NUMBER);
    if (value >= 1000) return this.#thousands(value);
    const digit = value * 3;
    if (value >= 100) this.#digit(digit);
    if (value >= 10) this.#digit(digit + 1);
    this.#digit(digit + 2);
  }

  /** 0 to 999 with leading zeros. */
  threeDigits(value: number): void {
    this.#reserve(LONGEST_NUMBER);
    for (let digit = value * 3; digit < value * 3 + 3; digit++) this.#digit(digit);
  }

  /** A whole number from 0 to 2^53, of at least eight digits. */
  hexadecimal(value: number): void {
    this.#reserve(LONGEST_NUMBER);
    // The shift operators see the lower 32 bits alone.
    if (value >= 2 ** 32) this.constant(Buffer.from(Math.floor(value / 2 ** 32).toString(16), 'latin1'));
    for (let shift = 28; shift >= 0; shift -= 4) this.#bytes[this.#at++] = HEX_DIGITS[(value >>> shift) & 15] as number;
  }

  /** The line is complete: what does not fit the block goes out before it. */
  end(): void {
    const length = this.#at - this.#lineStart;
    if (this.#at > this.#blockSize) {
      const line = this.#bytes.subarray(this.#lineStart, this.#at);
      this.#at = this.#lineStart;
      this.flush();
      if (length > this.#blockSize) {
        this.#destination.write(Buffer.concat([line]));
        this.#at = 0;
        return;
      }
      this.#bytes.set(line);
      this.#at = length;
    }
    this.#lineStart = this.#at;
  }

  /** Hands on all whole lines. */
  flush(): void {
    const length = this.#lineStart;
    if (length === 0) return;
    this.#lineStart = 0;
    this.#at = 0;
    const lines = this.#bytes.subarray(0, length);
    this.#destination.write(lines);
    this.#bytes = this.#fresh();
  }

  /** Whether there is anything to flush. */
  get isEmpty(): boolean {
    return this.#lineStart === 0;
  }

  /** A block that was written, or a new one: a new one is 64 KiB of memory that no cache has seen. */
  #fresh(): Block {
    const size = this.#blockSize + LINE_ROOM;
    return (this.#destination.spare(size) ?? Buffer.allocUnsafeSlow(size)) as Block;
  }

  #thousands(value: number): void {
    this.integer(Math.floor(value / 1000));
    this.threeDigits(value % 1000);
  }

  #digit(index: number): void {
    this.#bytes[this.#at++] = THREE_DIGITS[index] as number;
  }

  #reserve(bytes: number): void {
    if (this.#at + bytes <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(2 * this.#bytes.length, this.#at + bytes)) as Block;
    larger.set(this.#bytes.subarray(0, this.#at));
    this.#bytes = larger;
  }
}
