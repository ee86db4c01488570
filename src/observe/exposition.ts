/**
 * The text that Prometheus reads: its own format 0.0.4 and OpenMetrics 1.0. Written in pieces, so that a long answer
 * does not keep the arbiter's loop from turning (docs/decisions/0008-metrics.md).
 * https://prometheus.io/docs/instrumenting/exposition_formats/, https://prometheus.io/docs/specs/om/open_metrics_spec/
 */

/** What follows the family's name (`_bucket`), the labels as they are printed, and the value. */
export type Sample = readonly [suffix: string, labels: string, value: number];

export interface Family {
  readonly name: string;
  readonly help: string;
  /** `counter`, `gauge`, `histogram` or `summary`. */
  readonly type: string;
  readonly samples: Iterable<Sample>;
}

export type Format = 'text' | 'openmetrics';

export const CONTENT_TYPES: Readonly<Record<Format, string>> = {
  text: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
};

/** So many lines are a piece: interpreted, as in the arbiter, they take a millisecond or two. */
const PIECE_LINES = 1_000;

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

/** The whole answer, piece by piece. */
export function* expose(families: Iterable<Family>, format: Format): Generator<string> {
  let lines: string[] = [];
  for (const family of families) {
    const isTotal = format === 'openmetrics' && family.type === 'counter';
    // In OpenMetrics a counter's family has the name without the `_total` that each of its samples must have.
    const base = isTotal ? family.name.replace(/_total$/, '') : family.name;
    const ending = isTotal ? '_total' : '';
    lines.push(`# HELP ${base} ${escapeHelp(family.help, format)}`, `# TYPE ${base} ${family.type}`);
    for (const [suffix, labels, value] of family.samples) {
      lines.push(`${base}${suffix}${ending}${labels === '' ? '' : `{${labels}}`} ${numberText(value)}`);
      if (lines.length < PIECE_LINES) continue;
      yield `${lines.join('\n')}\n`;
      lines = [];
    }
  }
  if (format === 'openmetrics') lines.push('# EOF');
  yield `${lines.join('\n')}\n`;
}

/** `name="value",…` as it stands between the braces. */
export function labelText(labels: Readonly<Record<string, string | number>>): string {
  let text = '';
  for (const [name, value] of Object.entries(labels)) {
    text += `${text === '' ? '' : ','}${name}="${escapeLabel(String(value))}"`;
  }
  return text;
}

export function numberText(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf';
  return value === Number.NEGATIVE_INFINITY ? '-Inf' : String(value);
}

function escapeLabel(text: string): string {
  return /[\\\n"]/.test(text) ? text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"') : text;
}

function escapeHelp(text: string, format: Format): string {
  const escaped = text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
  return format === 'openmetrics' ? escaped.replaceAll('"', '\\"') : escaped;
}
