/** Rates and quantiles between two answers of `/status`, and the window that the charts show. Pure. */
import type { HistogramStatus, Status } from '../status.ts';

/** What happened between two answers: rates per second, times in seconds. null: unknown. */
export interface Point {
  /** Since the arbiter started. */
  readonly at: number;
  readonly requests: number | null;
  readonly errors: number | null;
  /** null without requests. */
  readonly p50: number | null;
  readonly p99: number | null;
  /** Share of scheduling periods in which the quota was used up, 0 to 1. */
  readonly throttled: number | null;
}

export const WINDOW_SECONDS = 300;

/** Undefined if `after` is not a later answer of the same arbiter. */
export function between(before: Status, after: Status): Point | undefined {
  const elapsed = after.seconds - before.seconds;
  if (elapsed <= 0 || !sameArbiter(before, after)) return undefined;
  const all = sum(Object.values(after.totals.requests)) - sum(Object.values(before.totals.requests));
  const errors = (after.totals.requests['5xx'] ?? 0) - (before.totals.requests['5xx'] ?? 0);
  const { bounds, counts } = after.totals.latency;
  const latency = { bounds, counts: counts.map((count, i) => count - (before.totals.latency.counts[i] ?? 0)) };
  const { quotaCores } = after.sizing.limits;
  const periods = increase(before.cgroup.cpuPeriods, after.cgroup.cpuPeriods);
  const throttled = increase(before.cgroup.cpuThrottledPeriods, after.cgroup.cpuThrottledPeriods);
  return {
    at: after.seconds,
    requests: all / elapsed,
    errors: errors / elapsed,
    p50: quantile(latency, 0.5),
    p99: quantile(latency, 0.99),
    // A group without periods ran nothing, so it was not throttled.
    throttled: quotaCores === null || throttled === null || periods === null ? null : throttled / Math.max(1, periods),
  };
}

/** In a container each arbiter is pid 1, so the age counts too. */
export function sameArbiter(before: Status, after: Status): boolean {
  return before.pid === after.pid && after.seconds >= before.seconds;
}

/** Adds a point and drops those that no chart shows any more. */
export function append(points: readonly Point[], point: Point): Point[] {
  return [...points.filter(({ at }) => at > point.at - WINDOW_SECONDS), point];
}

/** As Prometheus' histogram_quantile(): linear within a bucket; above the last bound, that bound. null if empty. */
export function quantile({ bounds, counts }: HistogramStatus, q: number): number | null {
  const total = sum(counts);
  if (total === 0) return null;
  let below = 0;
  for (const [i, upper] of bounds.entries()) {
    const count = counts[i] ?? 0;
    const lower = bounds[i - 1] ?? 0;
    if (count > 0 && below + count >= q * total) return lower + ((upper - lower) * (q * total - below)) / count;
    below += count;
  }
  return bounds.at(-1) ?? null;
}

function increase(before: number | null, after: number | null): number | null {
  return before === null || after === null ? null : after - before;
}

function sum(counts: readonly number[]): number {
  return counts.reduce((a, b) => a + b, 0);
}
