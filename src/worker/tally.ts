/** What a worker counts between two reports to the arbiter. */
import type { WorkerReport } from '../messages.ts';
import type { Refusal } from './refuse.ts';

/** Status codes have three digits (RFC 9110, section 15). */
const CODES = 1_000;

export class Tally {
  /** A row a method, a column a status code: to count is one lookup and one addition. */
  readonly #requests = new Map<string, Uint32Array>();
  readonly #rejected = new Map<Refusal, number>();

  request(method: string, status: number): void {
    let row = this.#requests.get(method);
    if (row === undefined) {
      row = new Uint32Array(CODES);
      this.#requests.set(method, row);
    }
    row[status] = (row[status] ?? 0) + 1;
  }

  rejected(why: Refusal): void {
    this.#rejected.set(why, (this.#rejected.get(why) ?? 0) + 1);
  }

  /** The counts since the last call. */
  take(): Pick<WorkerReport, 'requests' | 'rejected'> {
    const requests: Record<string, number> = {};
    for (const [method, row] of this.#requests) {
      for (const [code, count] of row.entries()) if (count > 0) requests[`${method} ${code}`] = count;
      row.fill(0);
    }
    const rejected = Object.fromEntries(this.#rejected);
    this.#rejected.clear();
    return { requests, rejected };
  }
}
