import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Counter, Gauge, Histogram as PromHistogram, Registry } from 'prom-client';
import { Histogram } from '../../src/observe/aggregate.ts';
import { CONTENT_TYPES, expose, type Family, formatFor, labelText, numberText } from '../../src/observe/exposition.ts';
import { exposed } from './metrics-kit.ts';

const PROMETHEUS =
  'application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2';

describe('the format', () => {
  for (const [accept, wanted] of [
    [undefined, 'text'],
    ['', 'text'],
    ['*/*', 'text'],
    ['text/html,application/xhtml+xml,*/*;q=0.8', 'text'],
    ['text/plain', 'text'],
    ['application/openmetrics-text', 'openmetrics'],
    ['application/openmetrics-text; version=1.0.0; charset=utf-8', 'openmetrics'],
    ['Application/OpenMetrics-Text; Version="1.0.0"', 'openmetrics'],
    ['application/openmetrics-text; version=0.0.1', 'text'],
    ['application/openmetrics-text; q=0', 'text'],
    ['application/openmetrics-text;q=0.5,text/plain;q=0.9', 'text'],
    ['text/plain;version=0.0.4;q=0.5,application/openmetrics-text;version=1.0.0;q=0.5', 'openmetrics'],
    [PROMETHEUS, 'openmetrics'],
  ] as const)
    it(`is ${wanted} for Accept: ${accept}`, () => assert.equal(formatFor(accept), wanted));
});

const family = (samples: Family['samples'], rest: Partial<Family> = {}): Family => ({
  name: 'app_things_total',
  help: 'Things.',
  type: 'counter',
  samples,
  ...rest,
});

describe('the text', () => {
  it('has help and type, also where there is no series yet', () => {
    assert.equal(exposed([family([])]), '# HELP app_things_total Things.\n# TYPE app_things_total counter\n');
  });

  it('keeps a line whole, whatever is in a label or a help', () => {
    const nasty = 'a"\n\\b';
    const labels = labelText({ reason: nasty, n: 5 });
    assert.equal(labels, 'reason="a\\"\\n\\\\b",n="5"');
    const text = exposed([family([['', labels, 1]], { help: nasty })]);
    assert.ok(text.includes('# HELP app_things_total a"\\n\\\\b\n'), text);
    assert.ok(text.endsWith(`app_things_total{${labels}} 1\n`), text);
    assert.ok(exposed([family([], { help: nasty })], 'openmetrics').includes('a\\"\\n\\\\b\n'));
  });

  it('writes numbers as Prometheus reads them', () => {
    for (const [value, text] of [
      [0, '0'],
      [1.5, '1.5'],
      [1e21, '1e+21'],
      [Number.NaN, 'NaN'],
      [Number.POSITIVE_INFINITY, '+Inf'],
      [Number.NEGATIVE_INFINITY, '-Inf'],
    ] as const)
      assert.equal(numberText(value), text);
  });

  it('gives counters in OpenMetrics the one ending that they must have', () => {
    const text = exposed([family([['', '', 3]]), family([['', 'a="b"', 4]], { name: 'app_calls' })], 'openmetrics');
    assert.equal(
      text,
      `# HELP app_things Things.
# TYPE app_things counter
app_things_total 3
# HELP app_calls Things.
# TYPE app_calls counter
app_calls_total{a="b"} 4
# EOF
`,
    );
  });

  it('comes in pieces that are whole lines', () => {
    const samples = Array.from({ length: 5_000 }, (_, i) => ['', `i="${i}"`, i] as const);
    const pieces = [...expose([family(samples)], 'openmetrics')];
    assert.ok(pieces.length >= 5, String(pieces.length));
    for (const piece of pieces) assert.ok(piece.endsWith('\n') && piece.split('\n').length <= 1_003);
    assert.equal(pieces.join('').match(/^app_things_total\{/gm)?.length, 5_000);
  });

  it('is what prom-client makes of the same', async () => {
    const registry = new Registry();
    const counter = new Counter({ name: 'c_total', help: 'C.', labelNames: ['a'], registers: [registry] });
    const gauge = new Gauge({ name: 'g', help: 'G "quoted" \\ and\nbroken.', registers: [registry] });
    const buckets = [0.1, 1];
    const histogram = new PromHistogram({ name: 'h', help: 'H.', labelNames: ['m'], buckets, registers: [registry] });
    const ours = new Histogram(buckets);
    counter.inc({ a: 'x"\\' }, 2.5);
    gauge.set(-1e-7);
    for (const value of [0.05, 0.1, 0.5, 7]) histogram.observe({ m: 'GET' }, value);
    ours.add({ buckets: [2, 1, 1], seconds: 0.05 + 0.1 + 0.5 + 7 });
    const text = exposed([
      { name: 'c_total', help: 'C.', type: 'counter', samples: [['', labelText({ a: 'x"\\' }), 2.5]] },
      { name: 'g', help: 'G "quoted" \\ and\nbroken.', type: 'gauge', samples: [['', '', -1e-7]] },
      { name: 'h', help: 'H.', type: 'histogram', samples: ours.samples('m="GET"') },
    ]);
    const lines = (of: string) =>
      of
        .split('\n')
        .filter(Boolean)
        .map((line) => line.replace(/\{(le="[^"]*"),(.*)\}/, '{$2,$1}'));
    assert.deepEqual(lines(text), lines(await registry.metrics()));
    assert.equal(CONTENT_TYPES.text, Registry.PROMETHEUS_CONTENT_TYPE);
    assert.equal(CONTENT_TYPES.openmetrics, Registry.OPENMETRICS_CONTENT_TYPE);
  });
});
