/**
 * Prometheus text format 0.0.4 and OpenMetrics 1.0, printed by prom-client: family by family and long ones in pieces, so
 * that a long answer does not block the arbiter's loop (docs/decisions/0008-metrics.md). Never load it in a worker: there
 * the app's registry is found by file name.
 * https://prometheus.io/docs/instrumenting/exposition_formats/, https://prometheus.io/docs/specs/om/open_metrics_spec/
 */
import type { Registry as PromRegistry } from 'prom-client';
import type { Family, Sample } from './aggregate.ts';

/** Only the registry: the whole of prom-client takes 13 MB more (docs/decisions/0002-memory.md). */
const Registry: typeof PromRegistry & (new (contentType: string) => PromRegistry) = process
  .getBuiltinModule('node:module')
  .createRequire(import.meta.url)('prom-client/lib/registry.js');

export type Format = 'text' | 'openmetrics';

export const CONTENT_TYPES = {
  text: Registry.PROMETHEUS_CONTENT_TYPE,
  openmetrics: Registry.OPENMETRICS_CONTENT_TYPE,
} as const satisfies Record<Format, string>;

/** A piece: a few milliseconds in the interpreter, which is what the arbiter mostly runs in. */
const PIECE_SERIES = 500;

/** From `Accept` (RFC 9110, section 12.5.1): text, unless OpenMetrics 1.0 has at least the same quality. */
export function formatFor(accept = ''): Format {
  let openMetrics = 0;
  let text = 0;
  for (const range of accept.toLowerCase().split(',')) {
    const [type, ...parameters] = range.replace(/[\s"]/g, '').split(';');
    const { q = 1, version = '1.0.0' } = Object.fromEntries(parameters.map((parameter) => parameter.split('=')));
    if (type === 'application/openmetrics-text' && version === '1.0.0') openMetrics = Math.max(openMetrics, Number(q));
    if (type === 'text/plain') text = Math.max(text, Number(q));
  }
  return openMetrics > 0 && openMetrics >= text ? 'openmetrics' : 'text';
}

/** One per format: counters are named differently in OpenMetrics. */
const REGISTRIES: Readonly<Record<Format, PromRegistry>> = {
  text: new Registry(CONTENT_TYPES.text),
  openmetrics: new Registry(CONTENT_TYPES.openmetrics),
};

/** The whole answer, in pieces of whole lines. */
export async function* exposition(families: Iterable<Family>, format: Format): AsyncGenerator<string> {
  let text = '';
  let series = 0;
  for (const family of families) {
    const samples = [...family.samples];
    // At least once, so a family without series is printed too.
    for (let from = 0; from === 0 || from < samples.length; from += PIECE_SERIES) {
      const piece = samples.slice(from, from + PIECE_SERIES);
      if (series + piece.length > PIECE_SERIES) {
        yield text;
        text = '';
        series = 0;
      }
      const printed = await print(family, piece, format);
      text += `${from === 0 ? printed : withoutHeader(printed)}\n`;
      series += piece.length;
    }
  }
  yield format === 'openmetrics' ? `${text}# EOF\n` : text;
}

/** prom-client takes the snapshot before it returns its promise, so concurrent scrapes do not mix. */
async function print({ name, help, type }: Family, samples: readonly Sample[], format: Format): Promise<string> {
  const isOpen = format === 'openmetrics';
  // In OpenMetrics a counter's family has no `_total`; prom-client appends it to each sample.
  const base = isOpen && type === 'counter' ? name.replace(/_total$/, '') : name;
  // prom-client renders shared labels once per object.
  const values = samples.map(([suffix, sharedLabels, value]) => ({ metricName: base + suffix, sharedLabels, value }));
  const registry = REGISTRIES[format];
  registry.removeSingleMetric(base);
  registry.registerMetric({ name: base, get: () => ({ name: base, help, type, values }) } as never);
  const printed = await registry.getSingleMetricAsString(base);
  return isOpen && help.includes('"') ? withQuotesEscaped(printed) : printed;
}

/** OpenMetrics wants quotes escaped in the help, the first line; prom-client leaves them. */
function withQuotesEscaped(text: string): string {
  const end = text.indexOf('\n');
  return text.slice(0, end).replaceAll('"', '\\"') + text.slice(end);
}

/** Without help and type, the first two lines. */
function withoutHeader(text: string): string {
  return text.slice(text.indexOf('\n', text.indexOf('\n') + 1) + 1);
}
