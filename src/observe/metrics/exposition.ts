/**
 * The text that Prometheus reads: its own format 0.0.4 and OpenMetrics 1.0. prom-client holds the families and prints
 * them, one after the other and long ones in pieces, so that a long answer does not keep the arbiter's loop from turning
 * (docs/decisions/0008-metrics.md). For the arbiter alone: in a worker the app's registry is looked for by file name.
 * https://prometheus.io/docs/instrumenting/exposition_formats/, https://prometheus.io/docs/specs/om/open_metrics_spec/
 */
import type { MetricObjectWithValues, MetricValue, Registry as PromRegistry } from 'prom-client';
import type { Family, Sample } from './sample.ts';

/** The registry without the rest: the index of prom-client takes 13 MB more (docs/decisions/0002-memory.md). */
const Registry: typeof PromRegistry & (new (contentType: string) => PromRegistry) = process
  .getBuiltinModule('node:module')
  .createRequire(import.meta.url)('prom-client/lib/registry.js');

export type Format = 'text' | 'openmetrics';

export const CONTENT_TYPES = {
  text: Registry.PROMETHEUS_CONTENT_TYPE,
  openmetrics: Registry.OPENMETRICS_CONTENT_TYPE,
} as const satisfies Record<Format, string>;

/** So many series are a piece: interpreted, as in the arbiter, they take a few milliseconds. */
const PIECE_SERIES = 500;

/** What a client wants by its `Accept` (RFC 9110, section 12.5.1). Text, unless OpenMetrics 1.0 is liked as much. */
export function formatFor(accept = ''): Format {
  let openMetrics = 0;
  let text = 0;
  for (const entry of accept.toLowerCase().split(',')) {
    const [type = '', ...parameters] = entry.split(';').map((part) => part.trim());
    const of = (name: string): string | undefined =>
      parameters
        .find((parameter) => parameter.startsWith(`${name}=`))
        ?.slice(name.length + 1)
        .replaceAll('"', '');
    const quality = Number(of('q') ?? 1);
    const version = of('version') ?? '1.0.0';
    if (type === 'application/openmetrics-text' && version === '1.0.0') openMetrics = Math.max(openMetrics, quality);
    if (type === 'text/plain') text = Math.max(text, quality);
  }
  return openMetrics > 0 && openMetrics >= text ? 'openmetrics' : 'text';
}

type Snapshot = MetricObjectWithValues<MetricValue<string>>;

/** A family as prom-client's own aggregator of a cluster has it: what it is asked for is what was put into it. */
class Held {
  readonly name: string;
  snapshot: Snapshot;

  constructor(snapshot: Snapshot) {
    this.name = snapshot.name;
    this.snapshot = snapshot;
  }

  get(): Snapshot {
    return this.snapshot;
  }
}

/** One registry a format: prom-client's knows only one, and counters have other names in OpenMetrics. */
export class Exposition {
  readonly #registries = {
    text: new Registry(CONTENT_TYPES.text),
    openmetrics: new Registry(CONTENT_TYPES.openmetrics),
  };

  /** The whole answer, in pieces of whole lines. Families that are new are registered, for good. */
  async *print(families: Iterable<Family>, format: Format): AsyncGenerator<string> {
    let text = '';
    let series = 0;
    for (const family of families) {
      let isFirst = true;
      for (const samples of inPieces(family.samples, PIECE_SERIES - series)) {
        const printed = await this.#piece(family, samples, format);
        text += `${isFirst ? printed : withoutHeader(printed)}\n`;
        isFirst = false;
        series += samples.length;
        if (series < PIECE_SERIES) continue;
        yield text;
        text = '';
        series = 0;
      }
    }
    yield format === 'openmetrics' ? `${text}# EOF\n` : text;
  }

  /** prom-client asks for the snapshot before it returns its promise, so two scrapes at once do not mix. */
  async #piece({ name, help, type }: Family, samples: readonly Sample[], format: Format): Promise<string> {
    const isOpen = format === 'openmetrics';
    // In OpenMetrics a counter's family has the name without the `_total` that prom-client gives each of its samples.
    const base = isOpen && type === 'counter' ? name.replace(/_total$/, '') : name;
    const snapshot = {
      name: base,
      help,
      type,
      aggregator: 'sum',
      // What is shared it prints once for each object.
      values: samples.map(([suffix, labels, value]) => ({
        metricName: base + suffix,
        labels: {},
        sharedLabels: labels,
        value,
      })),
    } as unknown as Snapshot;
    const registry = this.#registries[format];
    const held = registry.getSingleMetric(base) as unknown as Held | undefined;
    if (held) held.snapshot = snapshot;
    else registry.registerMetric(new Held(snapshot) as never);
    const printed = await registry.getSingleMetricAsString(base);
    return isOpen && help.includes('"') ? withQuotesEscaped(printed) : printed;
  }
}

/** At least one piece, so that a family without series is printed too. The first has at most `size` samples. */
function* inPieces(samples: Iterable<Sample>, size: number): Generator<Sample[]> {
  let piece: Sample[] = [];
  let room = size;
  let isFirst = true;
  for (const sample of samples) {
    if (piece.length === room) {
      yield piece;
      piece = [];
      room = PIECE_SERIES;
      isFirst = false;
    }
    piece.push(sample);
  }
  if (isFirst || piece.length > 0) yield piece;
}

/** Its first line is the help, in which prom-client leaves quotes as they are; OpenMetrics wants them escaped. */
function withQuotesEscaped(text: string): string {
  const end = text.indexOf('\n');
  return text.slice(0, end).replaceAll('"', '\\"') + text.slice(end);
}

/** Its first two lines are help and type. */
function withoutHeader(text: string): string {
  return text.slice(text.indexOf('\n', text.indexOf('\n') + 1) + 1);
}
