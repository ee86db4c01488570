/** Counts between two reports to the arbiter. Counting a request is a lookup and three additions. */
import { METHODS, type MethodReport } from '../../messages.ts';
import { bucketOf, REQUEST_BUCKETS } from '../../observe/metrics/table.ts';
import { http } from '../../platform/node-http.ts';
import { CLIENT_CLOSED_REQUEST } from '../http/connections.ts';
import type { Refusal } from '../http/error-responses.ts';

/** Status codes have three digits (RFC 9110, section 15). */
const CODES = 1_000;
const OTHER = 'other';

const BOUNDS_MS = REQUEST_BUCKETS.map((seconds) => seconds * 1000);

class MethodCounts {
  /** By status code. */
  readonly codes = new Uint32Array(CODES);
  readonly buckets = new Uint32Array(BOUNDS_MS.length + 1);
  ms = 0;
}

export class Counters {
  readonly #rows = new Map<string, MethodCounts>([...METHODS, OTHER].map((method) => [method, new MethodCounts()]));
  readonly #rejected = new Map<Refusal, number>();
  served = 0;

  /** `ms`: from the request's arrival to the end of its response. */
  request(method: string, status: number, ms: number): void {
    const row = this.#rows.get(method) ?? (this.#rows.get(OTHER) as MethodCounts);
    row.codes[status] = (row.codes[status] ?? 0) + 1;
    const bucket = bucketOf(BOUNDS_MS, ms);
    row.buckets[bucket] = (row.buckets[bucket] ?? 0) + 1;
    row.ms += ms;
    this.served++;
  }

  rejected(why: Refusal): void {
    this.#rejected.set(why, (this.#rejected.get(why) ?? 0) + 1);
  }

  take(): { requests: Record<string, MethodReport>; rejected: Record<string, number> } {
    const requests: Record<string, MethodReport> = {};
    for (const [method, row] of this.#rows) {
      if (row.buckets.every((count) => count === 0)) continue;
      requests[method] = { codes: codesOf(row), buckets: [...row.buckets], seconds: row.ms / 1000 };
      row.codes.fill(0);
      row.buckets.fill(0);
      row.ms = 0;
    }
    const rejected = Object.fromEntries(this.#rejected);
    this.#rejected.clear();
    return { requests, rejected };
  }
}

/** Only registered codes get a series each, so that an app that invents codes does not fill the scraper's memory. */
function codesOf({ codes }: MethodCounts): Record<string, number> {
  const counts: Record<string, number> = {};
  for (let code = 0; code < CODES; code++) {
    const count = codes[code] ?? 0;
    if (count === 0) continue;
    const label = code in http.STATUS_CODES || code === CLIENT_CLOSED_REQUEST ? String(code) : OTHER;
    counts[label] = (counts[label] ?? 0) + count;
  }
  return counts;
}
