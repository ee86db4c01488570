/**
 * Writes log lines as bytes straight into the block that goes to the destination. Joining and copying strings was two
 * thirds of a line's cost (docs/decisions/0005-hot-path.md).
 */
import type { LogDestination } from './destination.ts';

/** The longest escape of one UTF-16 unit: `\u00e9` in JSON. */
const LONGEST_ESCAPE = 6;
/** 2^53 has 16 digits. */
const LONGEST_NUMBER = 16;
/** Beyond the block, so that a line may cross its end while it is written. */
const LINE_ROOM = 8 * 1024;

/** 1 for printable ASCII except quote and backslash, which every format escapes. */
const PLAIN = new Uint8Array(256);
for (let unit = 0x20; unit < 0x7f; unit++) PLAIN[unit] = unit === 0x22 || unit === 0x5c ? 0 : 1;

/** Up to this length a loop is cheaper than the call that copies (20 ns). */
const SHORT = 12;

/** `000` to `999`. */
const THREE_DIGITS = Buffer.from(Array.from({ length: 1000 }, (_, n) => String(n).padStart(3, '0')).join(''), 'latin1');

const HEX_DIGITS = Buffer.from('0123456789abcdef', 'latin1');
const NEWLINE = 0x0a;

/** Missing in the types: `write(text, at, 'utf8')` without the look-up of the encoding. */
type Block = Buffer & { utf8Write(text: string, at: number): number };

/** Writes a UTF-16 unit that is not plain as ASCII. */
export type Escape = (unit: number) => string;

export function ascii(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'latin1'));
}

export class LineWriter {
  /** Whole lines, then the current one. */
  #bytes: Block;
  #at = 0;
  #lineStart = 0;
  readonly #blockSize: number;
  readonly #destination: Pick<LogDestination, 'write' | 'spare'>;
  readonly #toAscii: Escape;

  /** Lines go out whole, in blocks of the destination's size; a longer line is a block of its own. */
  constructor(destination: Pick<LogDestination, 'write' | 'spare' | 'blockSize'>, toAscii: Escape) {
    this.#blockSize = destination.blockSize;
    this.#destination = destination;
    this.#toAscii = toAscii;
    this.#bytes = this.#fresh();
  }

  constant(bytes: Uint8Array): this {
    const { length } = bytes;
    this.#reserve(length);
    if (length > SHORT) this.#bytes.set(bytes, this.#at);
    else for (let i = 0; i < length; i++) this.#bytes[this.#at + i] = bytes[i] as number;
    this.#at += length;
    return this;
  }

  text(text: string): this {
    const { length } = text;
    this.#reserve(length * LONGEST_ESCAPE);
    if (length <= SHORT) return this.#escaped(text);
    // Copied at once and checked in place: where the text is not plain, a byte of its UTF-8 is not either.
    const end = this.#at + this.#bytes.utf8Write(text, this.#at);
    let plain = 1;
    for (let i = this.#at; i < end; i++) plain &= PLAIN[this.#bytes[i] as number] as number;
    if (plain !== 1) return this.#escaped(text);
    this.#at = end;
    return this;
  }

  #escaped(text: string): this {
    const target = this.#bytes;
    let at = this.#at;
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      if (unit < 0x80 && PLAIN[unit] === 1) target[at++] = unit;
      else at += target.write(this.#toAscii(unit), at, 'latin1');
    }
    this.#at = at;
    return this;
  }

  /** A whole number from 0 to 2^53. */
  integer(value: number): this {
    this.#reserve(LONGEST_NUMBER);
    if (value >= 1000) return this.integer(Math.floor(value / 1000)).threeDigits(value % 1000);
    const digit = value * 3;
    if (value >= 100) this.#bytes[this.#at++] = THREE_DIGITS[digit] as number;
    if (value >= 10) this.#bytes[this.#at++] = THREE_DIGITS[digit + 1] as number;
    this.#bytes[this.#at++] = THREE_DIGITS[digit + 2] as number;
    return this;
  }

  threeDigits(value: number): this {
    this.#reserve(LONGEST_NUMBER);
    for (let digit = value * 3; digit < value * 3 + 3; digit++) this.#bytes[this.#at++] = THREE_DIGITS[digit] as number;
    return this;
  }

  /** A whole number from 0 to 2^53, of at least eight digits. */
  hexadecimal(value: number): this {
    // Shift operators see only the lower 32 bits.
    if (value >= 2 ** 32) this.constant(ascii(Math.floor(value / 2 ** 32).toString(16)));
    this.#reserve(LONGEST_NUMBER);
    for (let shift = 28; shift >= 0; shift -= 4) this.#bytes[this.#at++] = HEX_DIGITS[(value >>> shift) & 15] as number;
    return this;
  }

  /** Ends the line; one that does not fit starts the next block. */
  end(): void {
    this.#reserve(1);
    this.#bytes[this.#at++] = NEWLINE;
    if (this.#at > this.#blockSize) {
      const line = this.#bytes.subarray(this.#lineStart, this.#at);
      this.flush();
      this.#at = 0;
      if (line.length > this.#blockSize) return this.#destination.write(Buffer.concat([line]));
      this.#bytes.set(line);
      this.#at = line.length;
    }
    this.#lineStart = this.#at;
  }

  flush(): void {
    const length = this.#lineStart;
    if (length === 0) return;
    this.#lineStart = 0;
    this.#at = 0;
    this.#destination.write(this.#bytes.subarray(0, length));
    this.#bytes = this.#fresh();
  }

  /** Reuses a written block: a new one is 64 KiB of cold memory. */
  #fresh(): Block {
    const size = this.#blockSize + LINE_ROOM;
    return (this.#destination.spare(size) ?? Buffer.allocUnsafeSlow(size)) as Block;
  }

  #reserve(bytes: number): void {
    if (this.#at + bytes <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(2 * this.#bytes.length, this.#at + bytes)) as Block;
    larger.set(this.#bytes.subarray(0, this.#at));
    this.#bytes = larger;
  }
}

/** The time as text, made again only when `precisionMs` have passed. */
export class LogClock {
  readonly #precisionMs: number;
  readonly #format: (time: Date) => string;
  #tick = -1;
  #text = ascii('');

  constructor(precisionMs: number, format: (time: Date) => string) {
    this.#precisionMs = precisionMs;
    this.#format = format;
  }

  now(): Uint8Array {
    const tick = Math.floor(Date.now() / this.#precisionMs);
    if (tick !== this.#tick) {
      this.#tick = tick;
      this.#text = ascii(this.#format(new Date(tick * this.#precisionMs)));
    }
    return this.#text;
  }
}
