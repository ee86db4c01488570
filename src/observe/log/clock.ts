/** Timestamps as bytes: whole once a second, then only the digits that changed. */

const SECOND_LENGTH = '2026-01-01T00:00:00.'.length;
const ZERO = 0x30;

/** ISO 8601 in milliseconds, UTC. */
export class IsoClock {
  #text: Uint8Array = new Uint8Array(0);
  #second = -1;
  #ms = -1;

  /** Valid until the next call. */
  now(): Uint8Array {
    const now = Date.now();
    if (now !== this.#ms) this.#set(now);
    return this.#text;
  }

  #set(now: number): void {
    this.#ms = now;
    const second = Math.floor(now / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#text = new Uint8Array(Buffer.from(new Date(now).toISOString(), 'latin1'));
      return;
    }
    const rest = now - second * 1000;
    this.#text[SECOND_LENGTH] = ZERO + Math.floor(rest / 100);
    this.#text[SECOND_LENGTH + 1] = ZERO + (Math.floor(rest / 10) % 10);
    this.#text[SECOND_LENGTH + 2] = ZERO + (rest % 10);
  }
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

const two = (value: number): string => String(value).padStart(2, '0');

/** `[24/Nov/2026:14:20:00 +0000]`, in the time zone of the process, as the Common Log Format has it. */
export class CommonLogClock {
  #text: Uint8Array = new Uint8Array(0);
  #second = -1;

  now(): Uint8Array {
    const second = Math.floor(Date.now() / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#text = new Uint8Array(Buffer.from(commonLogTime(new Date(second * 1000)), 'latin1'));
    }
    return this.#text;
  }
}

function commonLogTime(date: Date): string {
  const east = -date.getTimezoneOffset();
  const zone = `${east < 0 ? '-' : '+'}${two(Math.floor(Math.abs(east) / 60))}${two(Math.abs(east) % 60)}`;
  const day = `${two(date.getDate())}/${MONTHS[date.getMonth()]}/${date.getFullYear()}`;
  return `[${day}:${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())} ${zone}]`;
}
