/** Families, series, and how the values of many workers become one. Pure. */
import type { Durations, Labels } from '../../messages.ts';

/** The name's suffix (`_bucket`), the labels and the value. Labels that stay the same object print faster. */
export type Sample = readonly [suffix: string, labels: Labels, value: number];

export interface Family {
  readonly name: string;
  readonly help: string;
  /** `counter`, `gauge`, `histogram` or `summary`. */
  readonly type: string;
  readonly samples: Iterable<Sample>;
}

/** `name="value",…`: the key of a series, the same for all labels that print the same. */
export function labelText(labels: Labels): string {
  let text = '';
  for (const [name, value] of Object.entries(labels)) {
    text += `${text === '' ? '' : ','}${name}="${escapeLabel(String(value))}"`;
  }
  return text;
}

function escapeLabel(text: string): string {
  return /[\\\n"]/.test(text) ? text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"') : text;
}

/** Whether a series is a count: workers report its increases, which are summed. */
export function onlyGrows(type: string, suffix: string, aggregator: string): boolean {
  if (aggregator !== 'sum') return false;
  return type === 'counter' || type === 'histogram' || (type === 'summary' && suffix !== '');
}

export class Histogram {
  readonly #labels: Labels;
  readonly #bounded: readonly Labels[];
  /** Counts by upper bound, not cumulative; the last is beyond all bounds. */
  readonly buckets: number[];
  #seconds = 0;

  constructor(bounds: readonly number[], labels: Labels) {
    this.#labels = labels;
    this.#bounded = [...bounds, '+Inf'].map((le) => ({ ...labels, le }));
    this.buckets = new Array(bounds.length + 1).fill(0);
  }

  add({ buckets, seconds }: Durations): void {
    for (const [i, count] of buckets.entries()) if (count > 0) this.buckets[i] = (this.buckets[i] ?? 0) + count;
    this.#seconds += seconds;
  }

  /** Cumulative, as Prometheus wants them. */
  *samples(): Generator<Sample> {
    let count = 0;
    for (const [i, labels] of this.#bounded.entries()) {
      count += this.buckets[i] ?? 0;
      yield ['_bucket', labels, count];
    }
    yield ['_sum', this.#labels, this.#seconds];
    yield ['_count', this.#labels, count];
  }
}

interface Count {
  readonly labels: Labels;
  value: number;
}

export class Totals {
  readonly #counters = new Map<string, Map<string, Count>>();
  readonly #histograms = new Map<string, Map<string, Histogram>>();

  /** Throws RangeError where `by` is negative or NaN: Prometheus would take that for a restart of the server. */
  add(name: string, labels: Labels, by: number): void {
    const text = labelText(labels);
    if (!(by >= 0)) throw new RangeError(`${name}{${text}} cannot be increased by ${by}`);
    const series = entry(this.#counters, name, () => new Map<string, Count>());
    entry(series, text, () => ({ labels, value: 0 })).value += by;
  }

  observe(name: string, labels: Labels, bounds: readonly number[], durations: Durations): void {
    const series = entry(this.#histograms, name, () => new Map<string, Histogram>());
    entry(series, labelText(labels), () => new Histogram(bounds, labels)).add(durations);
  }

  get(name: string, labels: Labels): number {
    return this.#counters.get(name)?.get(labelText(labels))?.value ?? 0;
  }

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

/** The value of `key`, made and kept where there is none. */
export function entry<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}
