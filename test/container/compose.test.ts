/** compose/ by Docker Compose: the app behind nginx; behind HAProxy in several containers; watched by Prometheus. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { freePort, request } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';
import { Gets, posts } from './support/clients.ts';
import { Compose, docker, dockerUp } from './support/compose.ts';
import { DIRECTORY, engine, ROOT, skipReason } from './support/machine.ts';
import { NameServer } from './support/name-server.ts';

const APP = `${ROOT}test/container/app`;

suite('compose', { skip: skipReason() }, () => {
  before(dockerUp);
  after(() => engine('down-docker'));

  test('the app behind nginx, over unix sockets', async (t) => {
    const port = await freePort();
    const here = `
services:
  app: { network_mode: none, networks: !reset null, build: { network: host } }
  nginx:
    network_mode: host
    networks: !reset null
    ports: !reset []
    build: { network: host }
    environment: { NGINX_PORT: "127.0.0.1:${port}" }
  prometheus: !reset null
  grafana: !reset null
networks: !reset {}
`;
    const compose = new Compose('tsunicorn-nginx', ['compose.yaml'], here, { APP, APP_CPUS: '1.5' });
    t.after(() => compose.down());
    await compose.up();

    const state = await docker('inspect', '--format={{.State.Health.Status}}', 'tsunicorn-nginx-app-1');
    assert.equal(state.trim(), 'healthy');
    const { status, body } = await request({ host: '127.0.0.1', port, path: '/' });
    assert.deepEqual([status, JSON.parse(body).uid], [200, 10001]);
    const config = await compose.run('exec', '-T', 'app', 'tsunicorn', 'config');
    assert.match(config, /^TSUNICORN_WORKERS +2 +cgroup$/m);
    assert.match(config, /^TSUNICORN_FORWARDED_ALLOW_IPS +loopback +file TSUNICORN_FORWARDED_ALLOW_IPS_FILE$/m);

    const begun = request({ host: '127.0.0.1', port, path: '/slow?ms=2000' });
    await sleep(300);
    await compose.run('stop', 'app');
    assert.equal((await begun).body, 'slow');
    const exitCode = await docker('inspect', '--format={{.State.ExitCode}}', 'tsunicorn-nginx-app-1');
    assert.equal(exitCode.trim(), '0');
  });

  test('two containers behind HAProxy, found by name, replaced without loss, and watched by Prometheus', async (t) => {
    // Two addresses of loopback stand for the two containers' own; the ports are those of the Compose files.
    const [first, second, resolver] = ['127.0.9.2', '127.0.9.3', '127.0.9.53'];
    const names = await NameServer.start(resolver, 'app', [first, second]);
    t.after(() => names.stop());
    const resolvConf = join(DIRECTORY, 'resolv.conf');
    writeFileSync(resolvConf, `nameserver ${resolver}\noptions timeout:1\n`);
    const port = await freePort();
    const prometheusPort = await freePort();
    const app = (address: string) => `
    environment: { TSUNICORN_BIND: "${address}:8000", TSUNICORN_ADMIN_BIND: "${address}:10464", TSUNICORN_WORKERS: "2" }`;
    const here = `
services:
  app:
    network_mode: host
    networks: !reset null
    build: { network: host }${app(first)}
  other:
    extends: { file: ${ROOT}compose/compose.yaml, service: app }
    network_mode: host
    networks: !reset null
    volumes: !override ["${APP}:/app:ro"]
    build: !reset null${app(second)}
      TSUNICORN_DRAIN_DELAY: "3" }
  haproxy:
    network_mode: host
    networks: !reset null
    ports: !reset []
    environment: { HAPROXY_LISTEN: "127.0.0.1:${port}" }
    volumes: ["${resolvConf}:/etc/resolv.conf:ro"]
  prometheus:
    network_mode: host
    networks: !reset null
    ports: !reset []
    volumes: ["${resolvConf}:/etc/resolv.conf:ro"]
  grafana: !reset null
networks: !reset {}
`.replace(`TSUNICORN_WORKERS: "2" }\n      TSUNICORN_DRAIN`, `TSUNICORN_WORKERS: "2",\n      TSUNICORN_DRAIN`);
    const compose = new Compose(
      'tsunicorn-haproxy',
      ['compose.yaml', 'haproxy.yaml'],
      here,
      { APP, PROMETHEUS_LISTEN: `127.0.0.1:${prometheusPort}` },
      ['monitoring'],
    );
    t.after(() => compose.down());
    await compose.up();

    const get = (path: string) => request({ host: '127.0.0.1', port, path });
    const logs = async () =>
      (await compose.logs('haproxy', 'app'))
        .split('\n')
        .filter((line) => !/"status":200| 200 \d+ - - /.test(line))
        .join('\n');
    await waitFor('HAProxy serves', async () => (await get('/').catch(() => undefined))?.status === 200).catch(
      async ({ message }) => assert.fail(`${message}\n${await logs()}`),
    );
    const gets = new Gets(t, port);
    const stopPosts = posts(t, port);
    await gets.until(1_000);
    for (let reload = 1; reload <= 3; reload++) {
      await compose.run('kill', '--signal', 'USR2', 'haproxy');
      await gets.until(gets.ok + 1_000);
      await sleep(1_500); // the new process asks the name server
    }
    await compose.run('restart', 'app');
    await gets.until(gets.ok + 500);
    await sleep(2_000);
    await compose.run('restart', 'other');
    await gets.until(gets.ok + 500);
    assert.deepEqual(await stopPosts(), [], await logs());
    assert.deepEqual(await gets.stop(), {}, await logs());

    const query = async (text: string) => {
      const path = `/api/v1/query?query=${encodeURIComponent(text)}`;
      const { body } = await request({ host: '127.0.0.1', port: prometheusPort, path });
      return JSON.parse(body).data.result.map(({ value }: { value: [number, string] }) => Number(value[1]));
    };
    // A sample of a container that had just been started says that its workers boot: the next one says more.
    const sampled = async (text: string, wanted: readonly number[]) =>
      await waitFor(
        `Prometheus sees ${text} as ${wanted}`,
        async () => isDeepStrictEqual(await query(text).catch(() => []), wanted),
        { seconds: 60 },
      );
    await sampled('up{job="tsunicorn"}', [1, 1]);
    await sampled('tsunicorn_workers{state="ready"}', [2, 2]);
    await sampled('count(tsunicorn:http_requests:rate5m)', [2]);
  });
});
