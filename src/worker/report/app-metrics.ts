/**
 * Reads the app's own prom-client registry, the default one, of whichever copy of prom-client the app has loaded.
 * prom-client is CommonJS, so it is in the cache of `require` also where the app imports it.
 */
import type { AppFamily, AppReport, AppSample } from '../../messages.ts';
import { onlyGrows } from '../../observe/metrics/aggregate.ts';
import { type Labels, labelText } from '../../observe/metrics/sample.ts';

/** What prom-client 12 to 15 have in common, as far as it is needed. */
interface Registry {
  getMetricsAsArray(): Metric[];
  readonly _defaultLabels?: Labels;
}

interface Metric {
  readonly name: string;
  readonly collect?: unknown;
  get(): Snapshot | Promise<Snapshot>;
}

interface Snapshot {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly aggregator?: string;
  readonly values: readonly Value[];
}

interface Value {
  readonly metricName?: string;
  readonly labels: Labels;
  readonly value: number;
}

interface Series {
  readonly index: number;
  readonly grows: boolean;
  last: number | undefined;
  /** The number of the reading that it was seen in. */
  seen: number;
}

export interface Loaded {
  readonly exports?: unknown;
}

const REGISTRY_FILE = /[\\/]prom-client[\\/]lib[\\/]registry\.js$/;
/** A `collect` function that takes longer delays its own metric alone: the scrape waits 250 ms for the whole worker. */
const COLLECT_MS = 200;
/** To read a large registry takes long: between two readings that nobody asked for passes 100 times as much. */
const SHARE_OF_TIME = 100;

export class AppMetrics {
  readonly #cache: Readonly<Record<string, Loaded | undefined>>;
  readonly #now: () => number;
  #registries: Registry[] = [];
  #modules = 0;
  readonly #families = new Map<string, number>();
  readonly #series = new Map<string, Series>();
  /** What is new, until somebody takes it. One for all readings, so that it goes out in the order of the indexes. */
  #outbox = emptyReport();
  #readings = 0;
  #nextAt = 0;

  /** `cache` is `require.cache`; `now` in milliseconds. */
  constructor(cache: Readonly<Record<string, Loaded | undefined>>, now: () => number) {
    this.#cache = cache;
    this.#now = now;
  }

  /** Whether the app has loaded prom-client. It may do so at any time. */
  get found(): boolean {
    const files = Object.keys(this.#cache);
    if (files.length !== this.#modules) {
      this.#modules = files.length;
      this.#registries = files
        .filter((file) => REGISTRY_FILE.test(file))
        .flatMap((file) => registryOf(this.#cache[file]));
    }
    return this.#registries.length > 0;
  }

  /** What is new since the last reading; undefined where nothing is. Runs the app's `collect` functions. */
  async read(): Promise<AppReport | undefined> {
    const reading = ++this.#readings;
    const { promise: late, resolve } = Promise.withResolvers<false>();
    const timer = setTimeout(() => resolve(false), COLLECT_MS);
    const isComplete = await Promise.race([this.#readAll(this.#metrics(), reading), late]);
    clearTimeout(timer);
    if (isComplete) this.#forgetUnseen(reading);
    return this.#take();
  }

  /** The same of what only grows and needs no `collect`: cheap, and all that a killed worker must not take with it. */
  async readCounts(): Promise<AppReport | undefined> {
    const from = this.#now();
    if (from < this.#nextAt) return undefined;
    this.#nextAt = Number.POSITIVE_INFINITY; // not twice at once
    const counts = this.#metrics().filter(({ metric }) => typeof metric.collect !== 'function' && !isGauge(metric));
    await this.#readAll(counts, ++this.#readings);
    const now = this.#now();
    this.#nextAt = now + SHARE_OF_TIME * (now - from);
    return this.#take();
  }

  #metrics(): { metric: Metric; defaults: Labels }[] {
    const found = new Map<string, { metric: Metric; defaults: Labels }>();
    for (const registry of this.#registries) {
      const defaults = registry._defaultLabels ?? {};
      for (const metric of registry.getMetricsAsArray()) {
        // Of two copies of prom-client the one that was loaded first has the name.
        if (!found.has(metric.name)) found.set(metric.name, { metric, defaults });
      }
    }
    return [...found.values()];
  }

  /** All at once, as prom-client does it. Where one fails the others are there all the same. */
  async #readAll(metrics: readonly { metric: Metric; defaults: Labels }[], reading: number): Promise<true> {
    const results = metrics.map(async ({ metric, defaults }) => this.#add(await metric.get(), defaults, reading));
    await Promise.allSettled(results);
    return true;
  }

  #take(): AppReport | undefined {
    const report = this.#outbox;
    this.#outbox = emptyReport();
    return report.series.length + report.values.length + report.families.length > 0 ? report : undefined;
  }

  #add({ name, help, type, aggregator = 'sum', values }: Snapshot, defaults: Labels, reading: number): void {
    const report = this.#outbox;
    const id = `${name} ${type} ${aggregator}`;
    let family = this.#families.get(id);
    if (family === undefined) {
      family = this.#families.size;
      this.#families.set(id, family);
      report.families.push([name, String(help), String(type), String(aggregator)]); // a registered object may lack them
    }
    for (const { metricName = name, labels, value } of values) {
      const suffix = metricName.startsWith(name) ? metricName.slice(name.length) : '';
      const all = { ...defaults, ...labels };
      const text = labelText(all);
      const key = `${family}${suffix}{${text}`;
      let series = this.#series.get(key);
      if (series === undefined) {
        series = { index: this.#series.size, grows: onlyGrows(type, suffix, aggregator), last: undefined, seen: 0 };
        this.#series.set(key, series);
        report.series.push([family, suffix, asText(all)]);
      }
      series.seen = Math.max(series.seen, reading);
      const said = series.grows ? increase(value, series.last) : value;
      if (series.grows ? said > 0 : !Object.is(value, series.last)) {
        report.values.push(series.index, Number.isFinite(said) ? said : String(said));
      }
      series.last = value;
    }
  }

  /** Series that the app has removed. What they counted stays, as it was; should they come back, they begin at 0. */
  #forgetUnseen(reading: number): void {
    for (const series of this.#series.values()) {
      if (series.seen >= reading || series.last === undefined) continue;
      series.last = undefined;
      if (!series.grows) this.#outbox.values.push(series.index, null);
    }
  }
}

function registryOf(module: Loaded | undefined): Registry[] {
  const registry = (module?.exports as { globalRegistry?: Registry } | undefined)?.globalRegistry;
  return typeof registry?.getMetricsAsArray === 'function' ? [registry] : [];
}

/** Told by its methods: its type is known only to its snapshot. */
function isGauge(metric: Metric & { readonly set?: unknown }): boolean {
  return typeof metric.set === 'function';
}

/** Labels may be anything in JavaScript; JSON leaves out what is undefined. */
function asText(labels: Labels): Labels {
  return Object.fromEntries(Object.entries(labels).map(([name, value]) => [name, String(value)]));
}

function emptyReport(): { families: AppFamily[]; series: AppSample[]; values: (number | string | null)[] } {
  return { families: [], series: [], values: [] };
}

/** A count that fell was set back by the app, and begins at 0 again. */
function increase(value: number, last = 0): number {
  return value >= last ? value - last : Math.max(0, value);
}

/** What `require` has loaded in this process, for whomever. */
export function loadedModules(): Readonly<Record<string, Loaded | undefined>> {
  return process.getBuiltinModule('node:module').createRequire(import.meta.url).cache;
}
