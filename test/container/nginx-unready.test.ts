/** nginx beside an app that drains: it ends the connections of its clients (NGINX_READYZ in docs/nginx.md). */
import assert from 'node:assert/strict';
import http from 'node:http';
import { suite, test } from 'node:test';
import { request } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';
import { nginx } from './support/front.ts';
import { skipReason } from './support/machine.ts';
import type { Cleaner } from './support/podman.ts';

/** Says what a request was, and is as ready as `state` says. */
async function app(t: Cleaner, state: { ready: boolean }): Promise<number> {
  const server = http.createServer(async (incoming, response) => {
    if (incoming.url === '/readyz') return response.writeHead(state.ready ? 200 : 503).end();
    let body = '';
    for await (const chunk of incoming) body += chunk;
    response.writeHead(incoming.url === '/teapot' ? 418 : 200);
    return response.end(`${incoming.method} ${incoming.url} ${body}`);
  });
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as { port: number }).port;
}

suite('nginx and an app that drains', { skip: skipReason() }, () => {
  test('while it is not ready, each response ends its connection, and requests go to it all the same', async (t) => {
    const state = { ready: true };
    const upstream = await app(t, state);
    const readyz = `http://127.0.0.1:${upstream}/readyz`;
    const env = { NGINX_UPSTREAM: `127.0.0.1:${upstream}`, NGINX_READYZ: readyz, NGINX_READYZ_INTERVAL: '0.2' };
    const { port, nginx: container } = await nginx(t, { env });
    const agent = new http.Agent({ keepAlive: true });
    t.after(() => agent.destroy());
    const ask = (path: string, method = 'GET', body = '') =>
      request({ host: '127.0.0.1', port, path, method, body, agent });
    const until = async (connection: string) =>
      await waitFor(`responses say ${connection}`, async () => (await ask('/')).headers.connection === connection);

    assert.equal((await ask('/')).headers.connection, 'keep-alive');
    state.ready = false;
    await until('close');
    const post = await ask('/form?x=1', 'POST', 'a=b');
    assert.deepEqual([post.status, post.body, post.headers.connection], [200, 'POST /form?x=1 a=b', 'close']);
    const teapot = await ask('/teapot');
    assert.deepEqual([teapot.status, teapot.body], [418, 'GET /teapot ']);
    const { status, headers } = await ask('/static/none.js');
    assert.deepEqual([status, headers.connection], [200, 'close']);

    state.ready = true;
    await until('keep-alive');
    assert.match(await container.logs(), /is not ready, or drains[\s\S]*the app is ready/);
  });

  test('without NGINX_READYZ it is not asked', async (t) => {
    const state = { ready: false };
    const { nginx: container } = await nginx(t, { env: { NGINX_UPSTREAM: `127.0.0.1:${await app(t, state)}` } });
    assert.doesNotMatch(await container.exec('sh', '-c', 'cat /tmp/nginx/server.conf'), /return 418/);
    assert.doesNotMatch(
      await container.exec('sh', '-c', 'cat /proc/[0-9]*/cmdline | tr "\\0" "\\n"'),
      /follow-readiness/,
    );
  });
});
