/** One chain of timeouts: what nginx makes of the settings of the app (docs/nginx.md). */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { nginx } from './support/front.ts';
import { skipReason } from './support/machine.ts';
import { type Cleaner, Container, NGINX_IMAGE, podman } from './support/podman.ts';

suite('the chain of timeouts', { skip: skipReason() }, () => {
  const start = async (t: Cleaner, env: Record<string, string>) => {
    const { port, nginx: container } = await nginx(t, { env: { NGINX_UPSTREAM: '127.0.0.1:9', ...env } });
    assert.ok(port > 0);
    return await container.exec('cat', '/tmp/nginx/nginx.conf', '/tmp/nginx/server.conf');
  };
  const refused = async (t: Cleaner, env: Record<string, string>) => {
    const container = await Container.start(t, { image: NGINX_IMAGE, env });
    assert.equal(Number(await podman('wait', container.name)), 78);
    return await container.logs();
  };

  test('comes from the settings of the app', async (t) => {
    const text = await start(t, {
      TSUNICORN_KEEPALIVE: '10',
      TSUNICORN_REQUEST_TIMEOUT: '90.5',
      TSUNICORN_GRACEFUL_TIMEOUT: '20',
      TSUNICORN_DRAIN_DELAY: '2.5',
      TSUNICORN_BODY_TIMEOUT: '12',
      TSUNICORN_HEADER_TIMEOUT: '7',
      TSUNICORN_LIMIT_BODY_SIZE: '3MiB',
    });
    for (const line of [
      'keepalive 64; keepalive_timeout 8000ms;',
      'keepalive_timeout 10000ms;',
      'proxy_read_timeout 95000ms;',
      'worker_shutdown_timeout 17500ms;',
      'client_body_timeout 12000ms;',
      'client_header_timeout 7000ms;',
      'client_max_body_size 3145728;',
    ]) {
      assert.ok(text.includes(line), line);
    }
  });

  test('without keep-alive in the app there is none towards it', async (t) => {
    assert.doesNotMatch(await start(t, { TSUNICORN_KEEPALIVE: '0' }), /keepalive 64/);
  });

  test('that cannot hold is refused, all at once, with status 78', async (t) => {
    const log = await refused(t, {
      NGINX_UPSTREAM_KEEPALIVE: '75',
      TSUNICORN_DRAIN_DELAY: '25',
      NGINX_PROXY_READ_TIMEOUT: '20',
      TSUNICORN_HEADER_TIMEOUT: 'soon',
      NGINX_MAX_BODY_SIZE: 'big',
    });
    assert.match(log, /NGINX_UPSTREAM_KEEPALIVE \(75000 ms\) must be less than TSUNICORN_KEEPALIVE \(75000 ms\)/);
    assert.match(log, /TSUNICORN_DRAIN_DELAY \(25000 ms\) must be less than TSUNICORN_GRACEFUL_TIMEOUT/);
    assert.match(log, /TSUNICORN_TIMEOUT \(30000 ms\) must be less than NGINX_PROXY_READ_TIMEOUT \(20000 ms\)/);
    assert.match(log, /TSUNICORN_HEADER_TIMEOUT=soon: must be a number of seconds/);
    assert.match(log, /NGINX_MAX_BODY_SIZE=big: must be a size/);
  });

  test('that is merely unwise is mended, with a line in the log', async (t) => {
    const { nginx: container } = await nginx(t, {
      env: { NGINX_UPSTREAM: '127.0.0.1:9', TSUNICORN_BODY_TIMEOUT: '30', NGINX_BODY_TIMEOUT: '45' },
    });
    assert.match(await container.logs(), /NGINX_BODY_TIMEOUT is lowered from 45000 ms to TSUNICORN_BODY_TIMEOUT/);
  });
});
