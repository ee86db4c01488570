/**
 * The app's own metrics in the arbiter: what the workers tell of their registries, as one. What only grows is added up
 * and stays when a worker ends; everything else is taken together by the aggregator that the app chose.
 */
import type { AppFamily, AppReport } from '../../messages.ts';
import { AGGREGATORS, type Aggregator, entry, isAggregator, onlyGrows } from './aggregate.ts';
import { type Family, type Labels, labelText, type Sample } from './sample.ts';

/** `values`, by worker id, of what may fall; `total` of what only grows. */
interface Series {
  readonly suffix: string;
  readonly labels: Labels;
  readonly combine: Aggregator;
  total: number | undefined;
  readonly values: Map<number, number>;
}

interface Known {
  readonly name: string;
  help: string;
  readonly type: string;
  readonly aggregator: Aggregator;
  readonly series: Map<string, Series>;
}

/** The data model of Prometheus; an app that goes round prom-client could break the whole exposition. */
const NAME = /^[a-zA-Z_:][\w:]*$/;
const LABEL = /^[a-zA-Z_]\w*$/;
const TYPES: ReadonlySet<string> = new Set(['counter', 'gauge', 'histogram', 'summary']);

/** What a worker's indexes mean; undefined for what is left out. */
interface Dictionary {
  readonly families: (Known | undefined)[];
  readonly series: (Series | undefined)[];
}

export class AppSeries {
  readonly #families = new Map<string, Known>();
  readonly #dictionaries = new Map<number, Dictionary>();
  readonly #isTaken: (name: string) => boolean;
  readonly #clash: (name: string) => void;

  /** A name for which `isTaken` holds is left out, and `clash` is called with it, once for each worker. */
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

  /** The worker ended: what it counted stays, what it was like goes. */
  gone(workerId: number): void {
    for (const series of this.#dictionaries.get(workerId)?.series ?? []) series?.values.delete(workerId);
    this.#dictionaries.delete(workerId);
  }

  *families(): Generator<Family> {
    for (const { name, help, type, series } of this.#families.values()) {
      yield { name, help, type, samples: samplesOf(series.values()) };
    }
  }

  #family([name, help, type, aggregator]: AppFamily): Known | undefined {
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
    // New, or another thing by the same name since the last reload: the old one's worker reports to nobody.
    const made: Known = { name, help, type, aggregator, series: new Map() };
    this.#families.set(name, made);
    return made;
  }
}

function seriesOf(family: Known | undefined, suffix: string, labels: Labels): Series | undefined {
  if (family === undefined || !/^\w*$/.test(suffix) || !Object.keys(labels).every((name) => LABEL.test(name))) return;
  return entry(family.series, `${suffix}{${labelText(labels)}`, () => {
    const { type, aggregator } = family;
    const grows = onlyGrows(type, suffix, aggregator);
    // Quantiles cannot be added.
    const combine = type === 'summary' && aggregator === 'sum' ? 'average' : aggregator;
    return { suffix, labels, combine, total: grows ? 0 : undefined, values: new Map() };
  });
}

function* samplesOf(series: Iterable<Series>): Generator<Sample> {
  for (const { suffix, labels, combine, total, values } of series) {
    if (total !== undefined) yield [suffix, labels, total];
    else if (values.size > 0) yield [suffix, labels, AGGREGATORS[combine](inOrder(values))];
  }
}

/** The oldest worker first. */
function inOrder(values: ReadonlyMap<number, number>): number[] {
  if (values.size === 1) return [...values.values()];
  return [...values].sort(([a], [b]) => a - b).map(([, value]) => value);
}
