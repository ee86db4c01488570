/** The app's own metrics on their way: a registry of prom-client's, what a worker reads, what the arbiter makes of it. */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { describe, it } from 'node:test';
import { Counter, Gauge, Histogram, Registry, Summary } from 'prom-client';
import { AppSeries } from '../../src/observe/metrics/app-series.ts';
import { AppMetrics, loadedModules } from '../../src/worker/report/app-metrics.ts';
import { exposed, series } from './metrics-kit.ts';

const FILE = '/app/node_modules/prom-client/lib/registry.js';

/** A worker with a registry of its own. */
class Worker {
  readonly registry = new Registry();
  readonly #workerId: number;
  readonly #shop: AppSeries;
  now = 0;
  readonly metrics = new AppMetrics({ [FILE]: { exports: { globalRegistry: this.registry } } }, () => this.now);

  constructor(shop: AppSeries, workerId: number) {
    this.#shop = shop;
    this.#workerId = workerId;
    assert.ok(this.metrics.found);
  }

  /** Reads, and tells the arbiter as the channel would: in JSON. Answers how many values that took. */
  async report(counts = false): Promise<number> {
    const report = await (counts ? this.metrics.readCounts() : this.metrics.read());
    if (report) this.#shop.add(this.#workerId, JSON.parse(JSON.stringify(report)));
    return report ? report.values.length / 2 : 0;
  }
}

function shopWith(taken: string[] = []) {
  const clashes: string[] = [];
  const shop = new AppSeries(
    (name) => taken.includes(name),
    (name) => clashes.push(name),
  );
  const workers = [new Worker(shop, 1), new Worker(shop, 2)] as const;
  const found = async () => series(await exposed(shop.families()));
  return { shop, workers, found, clashes };
}

describe("the app's metrics", () => {
  it('that only grow are summed, and keep the counts of a dead worker', async () => {
    const { shop, workers, found } = shopWith();
    const registered = workers.map(({ registry }) => {
      const registers = [registry];
      return {
        calls: new Counter({ name: 'calls', help: 'C.', labelNames: ['a'], registers }),
        size: new Histogram({ name: 'size', help: 'H.', labelNames: ['a'], buckets: [1, 2], registers }),
        time: new Summary({ name: 'time', help: 'S.', percentiles: [0.5], registers }),
      };
    });
    for (const [i, { calls, size, time }] of registered.entries()) {
      calls.inc({ a: 'x' }, 2);
      size.observe({ a: 'x' }, 1.5);
      time.observe(i === 0 ? 1 : 3);
    }
    for (const worker of workers) await worker.report();
    registered[0]?.calls.inc({ a: 'x' }, 0.5);
    registered[0]?.calls.inc({ a: 'y"' });
    assert.equal(await workers[0].report(), 2, 'only what changed is sent');
    assert.equal(await workers[0].report(), 0);
    assert.equal((await found()).time, undefined);
    assert.equal((await found())['time{quantile="0.5"}'], 2, 'quantiles cannot be added');
    shop.gone(1);
    const after = await found();
    assert.equal(after['calls{a="x"}'], 4.5);
    assert.equal(after['calls{a="y\\""}'], 1);
    assert.equal(after['size_bucket{le="1",a="x"}'], 0);
    assert.equal(after['size_bucket{le="2",a="x"}'], 2);
    assert.equal(after['size_bucket{le="+Inf",a="x"}'], 2);
    assert.equal(after['size_sum{a="x"}'], 3);
    assert.equal(after['size_count{a="x"}'], 2);
    assert.equal(after.time_sum, 4);
    assert.equal(after.time_count, 2);
    assert.equal(after['time{quantile="0.5"}'], 3, 'of the worker that is there');
  });

  it('are combined by the aggregator that the app chose', async () => {
    const { shop, workers, found } = shopWith();
    for (const aggregator of ['sum', 'first', 'min', 'max', 'average', 'omit'] as const) {
      for (const [i, { registry }] of workers.entries()) {
        const gauge = new Gauge({ name: `g_${aggregator}`, help: 'G.', aggregator, registers: [registry] });
        gauge.set(i === 0 ? 10 : 4);
        const counter = new Counter({ name: `c_${aggregator}`, help: 'C.', aggregator, registers: [registry] });
        counter.inc(i === 0 ? 10 : 4);
      }
    }
    await workers[1].report();
    await workers[0].report();
    const wanted = { sum: 14, first: 10, min: 4, max: 10, average: 7, omit: undefined };
    for (const [aggregator, value] of Object.entries(wanted)) {
      assert.equal((await found())[`g_${aggregator}`], value, aggregator);
      assert.equal((await found())[`c_${aggregator}`], value, aggregator);
    }
    shop.gone(1);
    assert.equal((await found()).g_sum, 4);
    assert.equal((await found()).c_sum, 14);
    assert.equal((await found()).g_first, 4);
    shop.gone(2);
    assert.equal((await found()).g_sum, undefined);
  });

  it('may hold what JSON cannot', async () => {
    const { workers, found } = shopWith();
    const gauge = new Gauge({ name: 'g', help: 'G.', labelNames: ['v'], registers: [workers[0].registry] });
    const values = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (const value of values) gauge.set({ v: String(value) }, value);
    await workers[0].report();
    assert.ok(Number.isNaN((await found())['g{v="NaN"}']));
    assert.match(
      await exposed([{ name: 'g', help: '', type: 'gauge', samples: [['', {}, Number.NaN]] }]),
      /^g Nan$/m, // both formats take it in any case
    );
    assert.equal(await workers[0].report(), 0, 'NaN is NaN still');
  });

  it('that are reset or removed let no counter fall, and drop gauges', async () => {
    const { workers, found } = shopWith();
    const [{ registry }] = workers;
    const counter = new Counter({ name: 'c', help: 'C.', labelNames: ['a'], registers: [registry] });
    const gauge = new Gauge({ name: 'g', help: 'G.', labelNames: ['a'], registers: [registry] });
    counter.inc({ a: 'x' }, 5);
    gauge.set({ a: 'x' }, 5);
    await workers[0].report();
    registry.resetMetrics();
    counter.inc({ a: 'x' }, 2);
    await workers[0].report();
    assert.equal((await found())['c{a="x"}'], 7);
    assert.equal((await found())['g{a="x"}'], undefined);
    counter.remove({ a: 'x' });
    await workers[0].report();
    counter.inc({ a: 'x' }, 3);
    gauge.set({ a: 'x' }, 5);
    await workers[0].report();
    assert.equal((await found())['c{a="x"}'], 10);
    assert.equal((await found())['g{a="x"}'], 5);
  });

  it('have the default labels of their registry', async () => {
    const { workers, found } = shopWith();
    workers[0].registry.setDefaultLabels({ team: 'shop', a: 'default' });
    new Counter({ name: 'c', help: 'C.', labelNames: ['a'], registers: [workers[0].registry] }).inc({ a: 'x' });
    await workers[0].report();
    assert.equal((await found())['c{team="shop",a="x"}'], 1);
  });

  it('with a name that is taken are left out, with a warning', async () => {
    const { workers, found, clashes } = shopWith(['taken']);
    new Gauge({ name: 'taken', help: 'G.', registers: [workers[0].registry] }).set(1);
    new Gauge({ name: 'free', help: 'G.', registers: [workers[0].registry] }).set(1);
    await workers[0].report();
    await workers[0].report();
    assert.deepEqual(clashes, ['taken']);
    assert.deepEqual(Object.keys(await found()), ['free']);
  });

  it('that fail or hang are the only ones left out', async () => {
    const { workers, found } = shopWith();
    const registers = [workers[0].registry];
    const hung = Promise.withResolvers<void>();
    const hang = new Gauge({ name: 'hangs', help: 'G.', registers, collect: () => hung.promise });
    new Gauge({ name: 'fails', help: 'G.', registers, collect: () => Promise.reject(new Error('on purpose')) });
    new Gauge({ name: 'throws', help: 'G.', registers, collect: () => assert.fail('on purpose') });
    new Counter({ name: 'works', help: 'C.', registers }).inc();
    hang.set(3);
    const from = performance.now();
    await workers[0].report();
    assert.ok(performance.now() - from < 250);
    assert.deepEqual(Object.keys(await found()), ['works']);
    hung.resolve();
    await workers[0].report();
    assert.equal((await found()).hangs, 3);
  });

  it('between scrapes are read without calling collect functions, for a bounded time', async () => {
    const { workers, found } = shopWith();
    const [worker] = workers;
    const registers = [worker.registry];
    let collected = 0;
    new Gauge({ name: 'g', help: 'G.', registers }).set(1);
    new Counter({ name: 'slow', help: 'C.', registers, collect: () => void collected++ }).inc();
    const quick = new Counter({ name: 'quick', help: 'C.', registers });
    quick.inc();
    const { getMetricsAsArray } = worker.registry;
    worker.registry.getMetricsAsArray = () => {
      worker.now += 4; // milliseconds that it takes
      return getMetricsAsArray.call(worker.registry);
    };
    await worker.report(true);
    assert.deepEqual(await found(), { quick: 1 });
    quick.inc();
    worker.now = 400;
    assert.equal(await worker.report(true), 0, 'a hundred times as long as it took has not passed');
    worker.now = 404;
    assert.equal(await worker.report(true), 1);
    assert.equal(collected, 0);
    assert.deepEqual(await found(), { quick: 2 });
  });

  it('continue if another release declares them with another type', async () => {
    const { workers, found } = shopWith();
    new Counter({ name: 'x', help: 'C.', registers: [workers[0].registry] }).inc(5);
    new Gauge({ name: 'x', help: 'G.', registers: [workers[1].registry] }).set(1);
    await workers[0].report();
    await workers[1].report();
    await workers[0].report();
    assert.deepEqual(await found(), { x: 1 });
  });

  it('are found whenever the app loads prom-client, once a name', async () => {
    const cache: Record<string, { exports?: unknown }> = {};
    const metrics = new AppMetrics(cache, () => 0);
    assert.equal(metrics.found, false);
    cache['/app/node_modules/not-prom-client/lib/registry.js'] = { exports: { globalRegistry: new Registry() } };
    cache['/app/other.js'] = {};
    assert.equal(metrics.found, false);
    const [first, second] = [new Registry(), new Registry()];
    new Counter({ name: 'c', help: 'C.', registers: [first] }).inc(1);
    new Counter({ name: 'c', help: 'C.', registers: [second] }).inc(100);
    cache[FILE] = { exports: { globalRegistry: first } };
    cache['/app/node_modules/other/node_modules/prom-client/lib/registry.js'] = { exports: { globalRegistry: second } };
    assert.equal(metrics.found, true);
    assert.deepEqual((await metrics.read())?.values, [0, 1]);
  });

  it('are in the real cache, whether required or imported', async () => {
    const { register } = createRequire(import.meta.url)('prom-client');
    const metrics = new AppMetrics(loadedModules(), () => 0);
    assert.ok(metrics.found);
    new Counter({ name: 'in_the_default_registry', help: 'C.' }).inc();
    assert.equal((await metrics.read())?.families[0]?.[0], 'in_the_default_registry');
    register.clear();
  });
});
