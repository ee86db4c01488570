import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Histogram as PromHistogram, Registry } from 'prom-client';
import { type Family, Histogram } from '../../src/observe/metrics/aggregate.ts';
import { type Format, formatFor } from '../../src/observe/metrics/exposition.ts';
import { exposed, printed } from './metrics-kit.ts';

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
  it('has help and type, also where there is no series yet', async () => {
    assert.equal(await exposed([family([])]), '# HELP app_things_total Things.\n# TYPE app_things_total counter\n');
  });

  it('keeps a line whole, whatever is in a label or a help', async () => {
    const nasty = 'a"\n\\b';
    const text = await exposed([family([['', { reason: nasty, n: 5 }, 1]], { help: nasty })]);
    assert.ok(text.includes('# HELP app_things_total a"\\n\\\\b\n'), text);
    assert.ok(text.endsWith('app_things_total{reason="a\\"\\n\\\\b",n="5"} 1\n'), text);
    assert.ok((await exposed([family([], { help: nasty })], 'openmetrics')).includes('a\\"\\n\\\\b\n'));
  });

  it('ends counters in OpenMetrics in one _total, each time', async () => {
    const families = [family([['', {}, 3]]), family([['', { a: 'b' }, 4]], { name: 'app_calls' })];
    const print = (format: Format) => exposed(families, format);
    for (let i = 0; i < 2; i++) {
      assert.match(await print('text'), /^# TYPE app_things_total counter\napp_things_total 3$/m);
      assert.equal(
        await print('openmetrics'),
        `# HELP app_things Things.
# TYPE app_things counter
app_things_total 3
# HELP app_calls Things.
# TYPE app_calls counter
app_calls_total{a="b"} 4
# EOF
`,
      );
    }
  });

  it('comes in pieces that are whole lines, with one header a family', async () => {
    const samples = Array.from({ length: 5_000 }, (_, i) => ['', { i }, i] as const);
    const pieces = await printed([family(samples.slice(0, 7)), family(samples, { name: 'x' })], 'openmetrics');
    assert.ok(pieces.length >= 10, String(pieces.length));
    for (const piece of pieces) assert.ok(piece.endsWith('\n') && piece.split('\n').length <= 506);
    assert.equal(pieces.join('').match(/^x_total\{i="\d+"\} \d+$/gm)?.length, 5_000);
    assert.equal(pieces.join('').match(/^# TYPE x counter$/gm)?.length, 1);
  });

  it('of two scrapes at once is that of each', async () => {
    const print = (value: number) => exposed([family([['', {}, value]])]);
    const [one, two] = await Promise.all([print(1), print(2)]);
    assert.match(one, /^app_things_total 1$/m);
    assert.match(two, /^app_things_total 2$/m);
  });

  it('of a histogram is what prom-client itself prints', async () => {
    const registry = new Registry();
    const buckets = [0.1, 1];
    const histogram = new PromHistogram({ name: 'h', help: 'H.', labelNames: ['m'], buckets, registers: [registry] });
    const ours = new Histogram(buckets, { m: 'GET' });
    for (const value of [0.05, 0.1, 0.5, 7]) histogram.observe({ m: 'GET' }, value);
    ours.add({ buckets: [2, 1, 1], seconds: 0.05 + 0.1 + 0.5 + 7 });
    const lines = (of: string) =>
      of
        .split('\n')
        .filter(Boolean)
        .map((line) => line.replace(/\{(le="[^"]*"),(.*)\}/, '{$2,$1}'));
    const text = await exposed([{ name: 'h', help: 'H.', type: 'histogram', samples: ours.samples() }]);
    assert.deepEqual(lines(text), lines(await registry.metrics()));
  });
});
