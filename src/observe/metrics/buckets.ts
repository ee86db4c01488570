/** How durations are reported: bounds of histograms, in seconds (what is longer falls into one more bucket), quantiles. */

/** From an answer out of memory to one that any proxy has given up on (nginx' `proxy_read_timeout` is 60 s). */
export const REQUEST_BUCKETS: readonly number[] = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
];

/** A scavenge takes about a millisecond; a second is a stall that clients notice. */
export const GC_BUCKETS: readonly number[] = [0.001, 0.01, 0.1, 1];

/** Of the event loop's delay; 1 is the longest. */
export const LAG_QUANTILES: readonly number[] = [0.5, 0.9, 0.99, 1];

/** The index of the bucket that `value` falls into: bounds are inclusive. Bounds and value in the same unit. */
export function bucketOf(bounds: readonly number[], value: number): number {
  let index = 0;
  while (index < bounds.length && value > (bounds[index] ?? 0)) index++;
  return index;
}
