/** How the values of many workers become one. Pure. */
import type { Durations } from '../../messages.ts';
import { type Labels, labelText, type Sample } from './sample.ts';

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
  readonly #labels: Labels;
  /** The same with each bound, and with none. */
  readonly #bounded: readonly Labels[];
  readonly #buckets: number[];
  #seconds = 0;

  constructor(bounds: readonly number[], labels: Labels) {
    this.#labels = labels;
    this.#bounded = [...bounds, '+Inf'].map((le) => ({ ...labels, le }));
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
  *samples(): Generator<Sample> {
    let count = 0;
    for (const [i, labels] of this.#bounded.entries()) {
      count += this.#buckets[i] ?? 0;
      yield ['_bucket', labels, count];
    }
    yield ['_sum', this.#labels, this.#seconds];
    yield ['_count', this.#labels, count];
  }
}

/** Everything that is counted, by metric and labels. It can only grow. */
export class Totals {
  readonly #counters = new Map<string, Map<string, { readonly labels: Labels; value: number }>>();
  readonly #histograms = new Map<string, Map<string, Histogram>>();

  /** Throws where `by` is negative or no number: that would be taken for a restart of the server. */
  add(name: string, labels: Labels, by: number): void {
    const text = labelText(labels);
    if (!(by >= 0)) throw new RangeError(`${name}{${text}} cannot be increased by ${by}`);
    const series = entry(this.#counters, name, () => new Map<string, { readonly labels: Labels; value: number }>());
    entry(series, text, () => ({ labels, value: 0 })).value += by;
  }

  observe(name: string, labels: Labels, bounds: readonly number[], durations: Durations): void {
    const series = entry(this.#histograms, name, () => new Map<string, Histogram>());
    entry(series, labelText(labels), () => new Histogram(bounds, labels)).add(durations);
  }

  get(name: string, labels: Labels): number {
    return this.#counters.get(name)?.get(labelText(labels))?.value ?? 0;
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
    for (const { labels, value } of this.#counters.get(name)?.values() ?? []) yield ['', labels, value];
    for (const histogram of this.#histograms.get(name)?.values() ?? []) yield* histogram.samples();
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
