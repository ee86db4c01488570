/** From one `/status` to the next: rates, quantiles, and the minutes of them that the charts show. Pure. */
import type { HistogramStatus, Status } from '../status.ts';

/** What happened between two answers. null: cannot be told. */
export interface Point {
  /** Seconds, by the arbiter's clock. */
  readonly at: number;
  /** A second. */
  readonly requests: number | null;
  /** Answers with a 5xx code, a second. */
  readonly errors: number | null;
  /** Seconds; null where nothing was answered. */
  readonly p50: number | null;
  readonly p99: number | null;
  /** The share of scheduling periods in which the quota was used up, 0 to 1. */
  readonly throttled: number | null;
}

/** The charts' width. */
export const WINDOW_SECONDS = 300;

const SERVER_ERROR = '5xx';

/** undefined where `after` is not a later answer of the same arbiter. */
export function between(before: Status, after: Status): Point | undefined {
  const elapsed = after.seconds - before.seconds;
  if (elapsed <= 0 || !sameArbiter(before, after)) return undefined;
  const all = sum(after.totals.requests) - sum(before.totals.requests);
  const errors = (after.totals.requests[SERVER_ERROR] ?? 0) - (before.totals.requests[SERVER_ERROR] ?? 0);
  const latency = difference(before.totals.latency, after.totals.latency);
  const periods = increase(before.cgroup.cpuPeriods, after.cgroup.cpuPeriods);
  const throttled = increase(before.cgroup.cpuThrottledPeriods, after.cgroup.cpuThrottledPeriods);
  return {
    at: after.seconds,
    requests: all / elapsed,
    errors: errors / elapsed,
    p50: quantile(latency, 0.5),
    p99: quantile(latency, 0.99),
    throttled: after.sizing.limits.quotaCores === null ? null : shareOf(throttled, periods),
  };
}

/** A restarted arbiter, in a container always pid 1, has been running for a shorter time. */
export function sameArbiter(before: Status, after: Status): boolean {
  return before.pid === after.pid && after.seconds >= before.seconds;
}

/** Adds a point and lets go of those that no chart shows any more. */
export function append(points: readonly Point[], point: Point): Point[] {
  return [...points.filter(({ at }) => at > point.at - WINDOW_SECONDS), point];
}

/**
 * As Prometheus' histogram_quantile: linear within the bucket; beyond the last bound that bound. null without a value.
 */
export function quantile({ bounds, counts }: HistogramStatus, q: number): number | null {
  const total = counts.reduce((a, b) => a + b, 0);
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

function difference(before: HistogramStatus, after: HistogramStatus): HistogramStatus {
  return { bounds: after.bounds, counts: after.counts.map((count, i) => count - (before.counts[i] ?? 0)) };
}

function increase(before: number | null, after: number | null): number | null {
  return before === null || after === null ? null : after - before;
}

/** A group in which nothing ran has no periods, and was not held back. */
function shareOf(throttled: number | null, periods: number | null): number | null {
  if (throttled === null || periods === null) return null;
  return periods === 0 ? 0 : throttled / periods;
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((a, b) => a + b, 0);
}
