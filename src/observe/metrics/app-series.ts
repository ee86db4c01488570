/**
 * The app's own metrics, merged over the workers. What only grows is summed and stays after a worker's exit; everything
 * else goes through the aggregator that the app chose.
 */
import type { AppFamily, AppReport, Labels } from '../../messages.ts';
import { entry, type Family, labelText, onlyGrows, type Sample } from './aggregate.ts';

const AGGREGATORS = {
  sum: (values: readonly number[]) => values.reduce((a, b) => a + b, 0),
  /** Of the oldest worker. */
  first: (values: readonly number[]) => values[0] ?? Number.NaN,
  min: (values: readonly number[]) => values.reduce((a, b) => Math.min(a, b)),
  max: (values: readonly number[]) => values.reduce((a, b) => Math.max(a, b)),
  average: (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length,
} as const;

type Aggregator = keyof typeof AGGREGATORS;
const isAggregator = (name: string): name is Aggregator => Object.hasOwn(AGGREGATORS, name);

/** `values`, by workerId, where the value may fall; `total` where it only grows. */
interface MergedSeries {
  readonly suffix: string;
  readonly labels: Labels;
  readonly combine: Aggregator;
  total: number | undefined;
  readonly values: Map<number, number>;
}

interface MergedFamily {
  readonly name: string;
  help: string;
  readonly type: string;
  readonly aggregator: Aggregator;
  readonly series: Map<string, MergedSeries>;
}

/** The data model of Prometheus: an app that bypasses prom-client could break the whole exposition. */
const NAME = /^[a-zA-Z_:][\w:]*$/;
const LABEL = /^[a-zA-Z_]\w*$/;
const TYPES: ReadonlySet<string> = new Set(['counter', 'gauge', 'histogram', 'summary']);

/** What a worker's indexes mean; undefined where the metric is left out. */
interface Dictionary {
  readonly families: (MergedFamily | undefined)[];
  readonly series: (MergedSeries | undefined)[];
}

export class AppSeries {
  readonly #families = new Map<string, MergedFamily>();
  readonly #dictionaries = new Map<number, Dictionary>();
  readonly #isTaken: (name: string) => boolean;
  readonly #clash: (name: string) => void;

  /** A metric whose name `isTaken` is left out; `clash` is called with the name, once per worker. */
  constructor(isTaken: (name: string) => boolean, clash: (name: string) => void) {
    this.#isTaken = isTaken;
    this.#clash = clash;
  }

  add(workerId: number, { families, series, values }: AppReport): void {
    const dictionary = entry(this.#dictionaries, workerId, () => ({ families: [], series: [] }));
    for (const family of families) dictionary.families.push(this.#family(family));
    for (const [family, suffix, labels] of series) {
      dictionary.series.push(seriesOf(dictionary.families[family], suffix, labels));
    }
    for (let i = 0; i < values.length; i += 2) {
      const found = dictionary.series[values[i] as number];
      const value = values[i + 1] ?? null;
      if (found === undefined) continue;
      if (found.total !== undefined) found.total += Math.max(0, Number(value) || 0);
      else if (value === null) found.values.delete(workerId);
      else found.values.set(workerId, Number(value));
    }
  }

  /** The worker exited: its counts stay, its gauges go. */
  gone(workerId: number): void {
    for (const series of this.#dictionaries.get(workerId)?.series ?? []) series?.values.delete(workerId);
    this.#dictionaries.delete(workerId);
  }

  *families(): Generator<Family> {
    for (const { name, help, type, series } of this.#families.values()) {
      yield { name, help, type, samples: samplesOf(series.values()) };
    }
  }

  #family([name, help, type, aggregator]: AppFamily): MergedFamily | undefined {
    if (this.#isTaken(name)) {
      this.#clash(name);
      return undefined;
    }
    if (!NAME.test(name) || name in {} || !TYPES.has(type)) return undefined; // prom-client would not print it
    if (!isAggregator(aggregator)) return undefined; // omit, and what another version may bring
    const known = this.#families.get(name);
    if (known?.type === type && known.aggregator === aggregator) {
      known.help = help;
      return known;
    }
    // New, or something else by the same name since a reload: what old workers report of theirs is dropped.
    const made: MergedFamily = { name, help, type, aggregator, series: new Map() };
    this.#families.set(name, made);
    return made;
  }
}

function seriesOf(family: MergedFamily | undefined, suffix: string, labels: Labels): MergedSeries | undefined {
  if (family === undefined || !/^\w*$/.test(suffix) || !Object.keys(labels).every((name) => LABEL.test(name))) return;
  return entry(family.series, `${suffix}{${labelText(labels)}`, () => {
    const { type, aggregator } = family;
    const grows = onlyGrows(type, suffix, aggregator);
    // Quantiles cannot be added.
    const combine = type === 'summary' && aggregator === 'sum' ? 'average' : aggregator;
    return { suffix, labels, combine, total: grows ? 0 : undefined, values: new Map() };
  });
}

function* samplesOf(series: Iterable<MergedSeries>): Generator<Sample> {
  for (const { suffix, labels, combine, total, values } of series) {
    if (total !== undefined) yield [suffix, labels, total];
    else if (values.size > 0) {
      const oldestFirst = [...values].sort(([a], [b]) => a - b).map(([, value]) => value);
      yield [suffix, labels, AGGREGATORS[combine](oldestFirst)];
    }
  }
}
