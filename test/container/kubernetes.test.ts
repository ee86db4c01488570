/**
 * k8s/rendered/production.yaml, run for real by podman: probes, requests through nginx, and the replacement of a pod
 * under load behind a balancer that hears of it late, as kube-proxy and ingress controllers do.
 */
import assert from 'node:assert/strict';
import { before, suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Manifest, parse, readRendered } from '../k8s/support/manifests.ts';
import { installTools } from '../k8s/support/tools.ts';
import { request } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';
import { Balancer } from './support/balancer.ts';
import { Gets, posts } from './support/clients.ts';
import { skipReason } from './support/machine.ts';
import { Pod } from './support/pod.ts';
import type { PodOptions } from './support/pod-manifests.ts';
import { type Cleaner, podman } from './support/podman.ts';

/** How much later than the pod the balancer hears that it goes; the overlay's drain delay is 5 s. */
const LAG = 3;

suite('the production overlay under podman kube play', { skip: skipReason() }, () => {
  let manifests: readonly Manifest[] = [];
  before(async () => {
    await installTools();
    manifests = await parse(readRendered());
  });
  const start = (t: Cleaner, options?: PodOptions) => Pod.start(t, manifests, options);
  const get = ({ port }: { port: number }, path: string) => request({ host: '127.0.0.1', port, path });

  test('the probes pass, and requests go through nginx to the app as it is configured', async (t) => {
    const pod = await start(t);
    await waitFor('the pod is ready', () => pod.ready(), { seconds: 60 });
    const { status, body } = await get(pod, '/');
    assert.equal(status, 200);
    assert.deepEqual([JSON.parse(body).uid, JSON.parse(body).ppid], [10001, 1]);

    const config = await podman('exec', pod.container('app'), 'tsunicorn', 'config');
    assert.match(config, /^TSUNICORN_WORKERS +2 +cgroup$/m);
    assert.match(config, /^TSUNICORN_BIND +unix:\/run\/tsunicorn\/app-\{slot\}\.sock +env$/m);
    assert.match(config, /^TSUNICORN_FORWARDED_ALLOW_IPS +uniquelocal +file TSUNICORN_FORWARDED_ALLOW_IPS_FILE$/m);
    for (const name of ['app', 'nginx']) {
      const inside = await podman('exec', pod.container(name), 'sh', '-c', 'touch /etc/x 2>&1; cat /proc/1/status');
      assert.match(inside, /Read-only file system/);
      assert.match(inside, /^Uid:\t10001\t/m);
      assert.match(inside, /^CapEff:\t0+$/m);
      assert.match(inside, /^NoNewPrivs:\t1$/m);
    }
  });

  test('the app ends first, then nginx, which delivers what the app had begun', async (t) => {
    const pod = await start(t);
    const balancer = await Balancer.start(t);
    await pod.join(balancer);
    const begun = get(pod, '/slow?ms=8000');
    const alive: number[] = [];
    await sleep(500);
    const terminated = pod.terminate({ lag: LAG });
    // Every answer of the app's /livez, until its port is closed at the very end.
    for (;;) {
      const answer = await get({ port: pod.adminPort }, '/livez').catch(() => undefined);
      if (!answer) break;
      alive.push(answer.status);
      await sleep(100);
    }
    const { status, body } = await begun;
    const { appExit, nginxExit, appEnded, nginxEnded, seconds } = await terminated;

    assert.deepEqual([status, body], [200, 'slow']);
    assert.deepEqual([appExit, nginxExit], [0, 0]);
    assert.ok(appEnded < nginxEnded, `the app ended at ${appEnded}, nginx at ${nginxEnded}`);
    assert.ok(seconds < pod.terminationGracePeriodSeconds, `${seconds} s`);
    assert.ok(alive.length > 10);
    assert.deepEqual(new Set(alive), new Set([200]));
    assert.deepEqual(pod.livenessFailures, []);

    const log = await pod.logs('nginx');
    const told = log.indexOf('the app is not ready, or drains');
    const delivered = log.search(/"path":"\/slow",.*"status":200,/);
    assert.ok(told >= 0 && delivered > told, log);
    assert.match(await pod.logs('app'), /received SIGTERM/);
  });

  /** A pod is replaced by another one under load: the new one is ready, then the old one is deleted. */
  async function replaced(t: Cleaner, options: PodOptions) {
    const balancer = await Balancer.start(t);
    const old = await start(t, options);
    await old.join(balancer);
    const gets = new Gets(t, balancer.port);
    const stopPosts = posts(t, balancer.port);
    // Slow enough to stay on one connection throughout: nginx ends it after 1000 requests (keepalive_requests).
    const stopCalm = posts(t, balancer.port, 100);
    await gets.until(500);
    const successor = await start(t, options);
    await successor.join(balancer);
    await gets.until(gets.ok + 500);
    const { appExit } = await old.terminate({ lag: LAG });
    assert.equal(appExit, 0);
    await sleep(500); // clients whose last request was in the old pod ask the new one
    const failed = [await gets.stop(), [...(await stopPosts()), ...(await stopCalm())]] as const;
    return { failed, refused: balancer.refused, answered: gets.ok, log: await old.logs('nginx') };
  }

  test('a pod is replaced, of which the balancer hears 3 s late: 0 failed requests', async (t) => {
    const { failed, refused, answered } = await replaced(t, {});
    assert.deepEqual(failed, [{}, []]);
    assert.equal(refused, 0);
    assert.ok(answered > 1000);
    t.diagnostic(`${answered} GETs answered`);
  });

  test('without a drain delay requests fail', async (t) => {
    const { failed } = await replaced(t, { settings: { TSUNICORN_DRAIN_DELAY: '0' } });
    const [gets, postFailures] = failed;
    assert.ok(Object.keys(gets).length + postFailures.length > 0);
    t.diagnostic(JSON.stringify([gets, postFailures.length]));
  });

  test('nor is the delay enough where nginx does not let go of its clients', async (t) => {
    const { failed } = await replaced(t, { nginx: { NGINX_READYZ: '' } });
    assert.ok(failed[1].length > 0);
    t.diagnostic(JSON.stringify([failed[0], failed[1].length]));
  });
});
