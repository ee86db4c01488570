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
