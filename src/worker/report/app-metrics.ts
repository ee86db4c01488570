/**
 * Reads the default registry of the copy of prom-client that the app has loaded. prom-client is CommonJS, so it is in
 * the cache of `require` even if the app imports it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { AppFamily, AppReport, AppSample, Labels } from '../../messages.ts';
import { labelText, onlyGrows } from '../../observe/metrics/aggregate.ts';

/** The part of prom-client 12–15 used here. */
interface PromRegistry {
  getMetricsAsArray(): PromMetric[];
  readonly _defaultLabels?: Labels;
}

interface PromMetric {
  readonly name: string;
  readonly collect?: unknown;
  /** Gauges have it; only a snapshot knows its type. */
  readonly set?: unknown;
  get(): MetricSnapshot | Promise<MetricSnapshot>;
}

interface MetricSnapshot {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly aggregator?: string;
  readonly values: readonly { readonly metricName?: string; readonly labels: Labels; readonly value: number }[];
}

interface ReportedSeries {
  readonly index: number;
  readonly grows: boolean;
  last: number | undefined;
  seen: number;
}

type ModuleCache = Readonly<Record<string, { readonly exports?: unknown } | undefined>>;
type FoundMetric = readonly [metric: PromMetric, defaultLabels: Labels];

const REGISTRY_FILE = /[\\/]prom-client[\\/]lib[\\/]registry\.js$/;
/** A slower `collect` function delays its own metric only: the scrape waits 250 ms for the whole worker. */
const COLLECT_MS = 200;
/** Reading a large registry is slow: readings between scrapes may take a hundredth of the time. */
const SHARE_OF_TIME = 100;

export class AppMetrics {
  readonly #cache: ModuleCache;
  readonly #now: () => number;
  #registries: PromRegistry[] = [];
  #modules = 0;
  readonly #families = new Map<string, number>();
  readonly #series = new Map<string, ReportedSeries>();
  /** Changes not sent yet. One for all readings, so that they go out in the order of their indexes. */
  #changes = noChanges();
  #readings = 0;
  #nextAt = 0;

  /** `now` in milliseconds. */
  constructor(cache: ModuleCache, now: () => number) {
    this.#cache = cache;
    this.#now = now;
  }

  /** Whether the app has loaded prom-client, which it may do at any time. */
  get found(): boolean {
    const files = Object.keys(this.#cache);
    if (files.length !== this.#modules) {
      this.#modules = files.length;
      this.#registries = files.flatMap((file) => (REGISTRY_FILE.test(file) ? registryOf(this.#cache[file]) : []));
    }
    return this.#registries.length > 0;
  }

  /** Changes since the last reading. Runs the app's `collect` functions. */
  async read(): Promise<AppReport> {
    const reading = ++this.#readings;
    const isLate = await Promise.race([this.#readAll(this.#metrics(), reading), sleep(COLLECT_MS, true)]);
    if (!isLate) this.#forgetUnseen(reading);
    return this.#take();
  }

  /**
   * The same for counts without `collect`: cheap, and all that must not be lost if the worker is killed. Undefined if
   * there are no changes, or the last such reading was too short ago.
   */
  async readCounts(): Promise<AppReport | undefined> {
    const from = this.#now();
    if (from < this.#nextAt) return undefined;
    this.#nextAt = Number.POSITIVE_INFINITY; // not twice at once
    const isCount = ({ collect, set }: PromMetric) => typeof collect !== 'function' && typeof set !== 'function';
    const counts = this.#metrics().filter(([metric]) => isCount(metric));
    await this.#readAll(counts, ++this.#readings);
    const now = this.#now();
    this.#nextAt = now + SHARE_OF_TIME * (now - from);
    const report = this.#take();
    return Object.values(report).some((list) => list.length > 0) ? report : undefined;
  }

  #metrics(): FoundMetric[] {
    const found = new Map<string, FoundMetric>();
    for (const registry of this.#registries) {
      const defaults = registry._defaultLabels ?? {};
      for (const metric of registry.getMetricsAsArray()) {
        // If two copies of prom-client have it, the one loaded first counts.
        if (!found.has(metric.name)) found.set(metric.name, [metric, defaults]);
      }
    }
    return [...found.values()];
  }

  /** All at once, as prom-client does it. One that fails does not affect the others. */
  async #readAll(metrics: readonly FoundMetric[], reading: number): Promise<void> {
    await Promise.allSettled(
      metrics.map(async ([metric, defaults]) => this.#add(await metric.get(), defaults, reading)),
    );
  }

  #take(): AppReport {
    const report = this.#changes;
    this.#changes = noChanges();
    return report;
  }

  #add({ name, help, type, aggregator = 'sum', values }: MetricSnapshot, defaults: Labels, reading: number): void {
    const report = this.#changes;
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
        // A label may have any value in JavaScript; JSON leaves out undefined.
        const labelsAsText = Object.entries(all).map(([label, value]) => [label, String(value)]);
        report.series.push([family, suffix, Object.fromEntries(labelsAsText)]);
      }
      series.seen = Math.max(series.seen, reading);
      const change = series.grows ? increase(value, series.last) : value;
      if (series.grows ? change > 0 : !Object.is(value, series.last)) {
        report.values.push(series.index, Number.isFinite(change) ? change : String(change));
      }
      series.last = value;
    }
  }

  /** Forgets series that the app has removed. Their counts stay; if they come back, they begin at 0. */
  #forgetUnseen(reading: number): void {
    for (const series of this.#series.values()) {
      if (series.seen >= reading || series.last === undefined) continue;
      series.last = undefined;
      if (!series.grows) this.#changes.values.push(series.index, null);
    }
  }
}

function registryOf(module: ModuleCache[string]): PromRegistry[] {
  const registry = (module?.exports as { globalRegistry?: PromRegistry } | undefined)?.globalRegistry;
  return typeof registry?.getMetricsAsArray === 'function' ? [registry] : [];
}

function noChanges(): { families: AppFamily[]; series: AppSample[]; values: (number | string | null)[] } {
  return { families: [], series: [], values: [] };
}

/** A count that fell was reset by the app, and begins at 0 again. */
function increase(value: number, last = 0): number {
  return value >= last ? value - last : Math.max(0, value);
}

export function loadedModules(): ModuleCache {
  return process.getBuiltinModule('node:module').createRequire(import.meta.url).cache;
}
