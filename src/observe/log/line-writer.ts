/**
 * Writes log lines as bytes straight into the block that goes to the destination. Joining and copying strings was two
 * thirds of a line's cost (docs/decisions/0005-hot-path.md).
 */
import type { LogDestination } from './destination.ts';

/** The longest escape of one UTF-16 unit: `\u00e9` in JSON. */
const LONGEST_ESCAPE = 6;
/** 2^53 has 16. */
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

/** Missing in the types: `write(text, at, 'utf8')` without the look-up of the encoding. */
type Block = Buffer & { utf8Write(text: string, at: number): number };

/** Escapes a UTF-16 unit that is not plain, as ASCII. */
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

  /** Lines go out whole, in blocks of the destination's size; a longer line is a block of its own. */
  constructor(destination: Pick<LogDestination, 'write' | 'spare' | 'blockSize'>) {
    this.#blockSize = destination.blockSize;
    this.#destination = destination;
    this.#bytes = this.#fresh();
  }

  constant(bytes: Uint8Array): void {
    const { length } = bytes;
    this.#reserve(length);
    if (length > SHORT) this.#bytes.set(bytes, this.#at);
    else for (let i = 0; i < length; i++) this.#bytes[this.#at + i] = bytes[i] as number;
    this.#at += length;
  }

  /** Text; units that are not plain go through `toAscii`. */
  text(text: string, toAscii: Escape): void {
    const { length } = text;
    if (length <= SHORT) return this.part(text, toAscii, 0, length);
    this.#reserve(length * LONGEST_ESCAPE);
    // Copied at once and checked in place: where the text is not plain, a byte of its UTF-8 is not either.
    const end = this.#at + this.#bytes.utf8Write(text, this.#at);
    let plain = 1;
    for (let i = this.#at; i < end; i++) plain &= PLAIN[this.#bytes[i] as number] as number;
    if (plain === 1) this.#at = end;
    else this.part(text, toAscii, 0, length);
  }

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
    if (value >= 1000) {
      this.integer(Math.floor(value / 1000));
      return this.threeDigits(value % 1000);
    }
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
    // Shift operators see only the lower 32 bits.
    if (value >= 2 ** 32) this.constant(Buffer.from(Math.floor(value / 2 ** 32).toString(16), 'latin1'));
    for (let shift = 28; shift >= 0; shift -= 4) this.#bytes[this.#at++] = HEX_DIGITS[(value >>> shift) & 15] as number;
  }

  /** Ends the line; one that does not fit starts the next block. */
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

  /** Writes all whole lines. */
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

const SECOND_LENGTH = '2026-01-01T00:00:00.'.length;
const ZERO = 0x30;

/** ISO 8601 in milliseconds, UTC: made once a second, then only the changed digits. */
export class IsoClock {
  #text: Uint8Array = new Uint8Array(0);
  #second = -1;
  #ms = -1;

  /** The bytes are valid until the next call. */
  now(): Uint8Array {
    const now = Date.now();
    if (now === this.#ms) return this.#text;
    this.#ms = now;
    const second = Math.floor(now / 1000);
    if (second === this.#second) {
      const rest = now - second * 1000;
      this.#text[SECOND_LENGTH] = ZERO + Math.floor(rest / 100);
      this.#text[SECOND_LENGTH + 1] = ZERO + (Math.floor(rest / 10) % 10);
      this.#text[SECOND_LENGTH + 2] = ZERO + (rest % 10);
    } else {
      this.#second = second;
      this.#text = ascii(new Date(now).toISOString());
    }
    return this.#text;
  }
}

/** `Tue Nov 24 2026 14:20:00 GMT+0000 (…)`, as ECMA-262 fixes it (Date.prototype.toString). */
const DATE_TEXT = /^\w+ (\w+) (\d+) (\d+) (\S+) GMT(\S+).*$/;

/** Common Log Format: `[24/Nov/2026:14:20:00 +0000]`, in the time zone of the process. */
export class CommonLogClock {
  #text: Uint8Array = new Uint8Array(0);
  #second = -1;

  now(): Uint8Array {
    const second = Math.floor(Date.now() / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#text = ascii(String(new Date(second * 1000)).replace(DATE_TEXT, '[$2/$1/$3:$4 $5]'));
    }
    return this.#text;
  }
}
