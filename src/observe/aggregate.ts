/** How the values of many workers become one. Pure. */
import type { Durations } from '../messages.ts';
import type { Sample } from './exposition.ts';
import { numberText } from './exposition.ts';

/** By which prom-client lets an app say what one value stands for several. */
export const AGGREGATORS = {
  sum: (values: readonly number[]) => values.reduce((a, b) => a + b, 0),
  /** Of the worker that has been there the longest. */
  first: (values: readonly number[]) => values[0] ?? Number.NaN,
  min: (values: readonly number[]) => values.reduce((a, b) => Math.min(a, b)),
  max: (values: readonly number[]) => values.reduce((a, b) => Math.max(a, b)),
  average: (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length,
} as const;

export type Aggregator = keyof typeof AGGREGATORS;

export function isAggregator(name: string): name is Aggregator {
  return Object.hasOwn(AGGREGATORS, name);
}

/** Whether a series is a count, whose increases are reported and added up. */
export function onlyGrows(type: string, suffix: string, aggregator: string): boolean {
  if (aggregator !== 'sum') return false;
  return type === 'counter' || type === 'histogram' || (type === 'summary' && suffix !== '');
}

/** A histogram that only grows. */
export class Histogram {
  readonly #bounds: readonly number[];
  readonly #buckets: number[];
  #seconds = 0;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#buckets = new Array(bounds.length + 1).fill(0);
  }

  add({ buckets, seconds }: Durations): void {
    for (const [i, count] of buckets.entries()) if (count > 0) this.#buckets[i] = (this.#buckets[i] ?? 0) + count;
    this.#seconds += seconds;
  }

  /** Counts by upper bound, each for itself; the last is beyond all bounds. */
  get buckets(): readonly number[] {
    return this.#buckets;
  }

  /** Counts by upper bound, each with all below it, as Prometheus wants them. */
  *samples(labels: string): Generator<Sample> {
    const comma = labels === '' ? '' : ',';
    let count = 0;
    for (const [i, bound] of [...this.#bounds, Number.POSITIVE_INFINITY].entries()) {
      count += this.#buckets[i] ?? 0;
      yield ['_bucket', `${labels}${comma}le="${numberText(bound)}"`, count];
    }
    yield ['_sum', labels, this.#seconds];
    yield ['_count', labels, count];
  }
}

/** Everything that is counted, by metric and labels. It can only grow. */
export class Totals {
  readonly #counters = new Map<string, Map<string, number>>();
  readonly #histograms = new Map<string, Map<string, Histogram>>();

  /** Throws where `by` is negative or no number: that would be taken for a restart of the server. */
  add(name: string, labels: string, by: number): void {
    if (!(by >= 0)) throw new RangeError(`${name}{${labels}} cannot be increased by ${by}`);
    const series = entry(this.#counters, name, () => new Map<string, number>());
    series.set(labels, (series.get(labels) ?? 0) + by);
  }

  observe(name: string, labels: string, bounds: readonly number[], durations: Durations): void {
    const series = entry(this.#histograms, name, () => new Map<string, Histogram>());
    entry(series, labels, () => new Histogram(bounds)).add(durations);
  }

  get(name: string, labels: string): number {
    return this.#counters.get(name)?.get(labels) ?? 0;
  }

  /** A histogram's counts over all its labels. */
  buckets(name: string, bounds: readonly number[]): number[] {
    const sums = new Array<number>(bounds.length + 1).fill(0);
    for (const { buckets } of this.#histograms.get(name)?.values() ?? []) {
      for (const [i, count] of buckets.entries()) sums[i] = (sums[i] ?? 0) + count;
    }
    return sums;
  }

  *samples(name: string): Generator<Sample> {
    for (const [labels, value] of this.#counters.get(name) ?? []) yield ['', labels, value];
    for (const [labels, histogram] of this.#histograms.get(name) ?? []) yield* histogram.samples(labels);
  }
}

/** The value of `key`, made where it is not there yet. */
export function entry<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}
