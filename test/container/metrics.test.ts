/** Metrics as a real Prometheus sees them. It needs no container: the package comes with the container engines. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { suite, test } from 'node:test';
import { Load } from '../support/load.ts';
import { scrape, total } from '../support/scrapes.ts';
import { isRunning, request, start, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';
import { skipReason } from './support/machine.ts';
import { Prometheus } from './support/prometheus.ts';

const quiet = { TSUNICORN_ACCESS_LOG: 'off' };
const REQUESTS = 'tsunicorn_http_requests_total';
/** Gauges that prom-client's default metrics call totals. */
const MISNOMERS = 'nodejs_active_(handles|requests|resources)_total';

suite('metrics', { skip: skipReason() }, () => {
  test('Prometheus sees no reset, whatever happens to workers, and all that clients sent', async (t) => {
    const server = await (await start(t, { app: 'metrics/app.mjs', env: quiet })).ready();
    const prometheus = await Prometheus.start(t, `127.0.0.1:${server.adminPort}`);
    let sent = 0;
    for (let round = 1; round <= 2; round++) {
      const load = new Load(t, { port: server.port, clients: 4, kind: 'short' });
      for (const signal of ['SIGHUP', 'SIGTTIN', 'SIGTTOU'] as const) {
        await moreThan(load, 200);
        server.signal(signal);
        await scraped(prometheus, 2);
      }
      await waitFor('two workers serve', () => server.workerPids().length === 2);
      const { ok, failures } = await load.stop();
      assert.deepEqual(failures, {});
      sent += ok;
      await killAll(server, sent);
      await scraped(prometheus, 2);
    }
    const last = new Load(t, { port: server.port, clients: 4, kind: 'keep-alive' });
    await moreThan(last, 500);
    sent += (await last.stop()).ok;
    await waitFor('Prometheus has seen all', async () => (await prometheus.value(`sum(${REQUESTS})`)) === sent);
    assert.equal(await prometheus.value('sum(shop_orders_total)'), sent);
    assert.equal(await prometheus.value('sum(tsunicorn_http_request_duration_seconds_count)'), sent);

    const counters = `{job="tsunicorn", __name__=~".+_(total|bucket|sum|count)", __name__!~"${MISNOMERS}"}`;
    const names = (await prometheus.query(`group by (__name__) (${counters})`)).map(({ labels }) =>
      String(labels.__name__),
    );
    assert.ok(names.length > 20, String(names));
    for (const name of names) {
      const resets = await prometheus.query(`resets(${name}{job="tsunicorn"}[1h]) > 0`);
      assert.deepEqual(resets, [], name);
    }
    assert.equal(await prometheus.value('min_over_time(up[1h])'), 1);
    assert.equal(await prometheus.value('sum(tsunicorn_worker_restarts_total{reason="crash"})'), 4);
    assert.equal(await prometheus.value('sum(tsunicorn_worker_restarts_total{reason="resize"})'), 2);
    const quantile = 'histogram_quantile(0.5, sum by (le) (rate(tsunicorn_http_request_duration_seconds_bucket[1h])))';
    const median = await prometheus.value(quantile);
    assert.ok(median > 0 && median < 1, String(median));
    assert.equal(await server.stop(), 0);
  });

  test('promtool has nothing to say', async (t) => {
    const server = await (await start(t, { app: 'basic.js', env: quiet })).ready();
    for (const path of ['/', '/nowhere', '/throw']) await server.get(path);
    const accept = 'text/plain;version=0.0.4';
    const to = { host: '127.0.0.1', port: server.adminPort, path: '/metrics', headers: { accept } };
    const { body } = await request(to);
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], { input: body, encoding: 'utf8' });
    assert.deepEqual([status, stdout, stderr], [0, '', '']);
    const broken = spawnSync('promtool', ['check', 'metrics'], { input: body.replace('# HELP', '# HALP') });
    assert.notEqual(broken.status, 0, 'promtool does look');
    assert.equal(await server.stop(), 0);
  });
});

async function moreThan(load: Load, count: number): Promise<void> {
  const before = load.result.ok;
  await waitFor('the load goes on', () => load.result.ok > before + count);
}

/** Waits until Prometheus has so many more samples. */
async function scraped(prometheus: Prometheus, count: number): Promise<void> {
  const samples = () => prometheus.value('count_over_time(up[1h])');
  const before = await samples();
  await waitFor(`${count} scrapes`, async () => (await samples()) >= before + count, { seconds: 30 });
}

/** SIGKILL for every worker, at a time when all that it counted has been reported. */
async function killAll(server: TestServer, sent: number): Promise<void> {
  const all = new RegExp(`^${REQUESTS}\\{`);
  await waitFor('all is reported', async () => total(await scrape(server), all) === sent);
  const pids = server.workerPids();
  const ready = server.logged('is ready').length;
  for (const pid of pids) process.kill(pid, 'SIGKILL');
  await waitFor('they are gone', () => !pids.some(isRunning));
  await server.untilLogged('is ready', ready + pids.length);
}
