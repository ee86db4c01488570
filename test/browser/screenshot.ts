/**
 * `npm run docs:screenshot`: takes docs/images/page.png, of a real server under load for a minute and a half. Where it
 * can make a cgroup with a CPU quota (root, cgroup v1) the server is sized and throttled by that.
 */
import { copyFileSync, mkdirSync, mkdtempSync, rmdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { start } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';
import { launch, skipReason } from './support/chromium.ts';
import { open } from './support/view.ts';

const SECONDS = 90;
const MOST_BYTES = 200_000;
const IMAGE = fileURLToPath(new URL('../../docs/images/page.png', import.meta.url));

const reason = await skipReason();
if (reason) throw new Error(reason);

const undo: (() => unknown)[] = [];
const t = { after: (fn: () => unknown) => undo.push(fn) };
try {
  const group = quotaGroup(1.2);
  // The picture shows where the app is.
  const directory = mkdtempSync(join(tmpdir(), 'shop-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const app = join(directory, 'shop.mjs');
  copyFileSync(fileURLToPath(new URL('./support/shop.js', import.meta.url)), app);
  const server = await start(t, {
    app,
    env: {
      TSUNICORN_WORKERS: undefined,
      TSUNICORN_WORKER_HEAP: '168MiB', // as within a memory limit of 512 MiB
      TSUNICORN_ACCESS_LOG: 'off',
      TSUNICORN_GRACEFUL_TIMEOUT: '2',
    },
    ...(group && { wrapper: ['sh', '-c', `echo $$ > ${group}/cgroup.procs && exec "$@"`, 'sh'] }),
  });
  await server.ready();
  const stopLoad = load(server.port);
  const browser = await launch();
  t.after(() => browser.close());
  const { page } = await open(t, browser, server.adminPort, { deviceScaleFactor: 1 });
  await sleep((SECONDS * 1000) / 3);
  server.signal('SIGHUP');
  await sleep((SECONDS * 1000) / 3);
  await server.get('/receipt').catch(() => undefined);
  await sleep((SECONDS * 1000) / 3);
  await waitFor('all workers are ready', () => page.getByText('2 of 2 workers are ready').isVisible());
  await page.locator('#exits summary').first().click();
  await page.screenshot({ path: IMAGE, animations: 'disabled' });
  stopLoad();
  const { size } = statSync(IMAGE);
  if (size > MOST_BYTES) throw new Error(`${IMAGE} has ${size} bytes, and may have ${MOST_BYTES}`);
  console.log(`${IMAGE}: ${size} bytes`);
} finally {
  for (const undone of undo.reverse()) await undone();
}

/** Requests at a rate that comes and goes. */
function load(port: number): () => void {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 24 });
  let sent = 0;
  const timer = setInterval(() => {
    const wave = 1 + 0.5 * Math.sin(performance.now() / 9_000) + 0.2 * Math.sin(performance.now() / 2_300);
    // Now and then everybody comes at once.
    const crowd = Math.random() < 0.004 ? 150 : 0;
    for (let i = 0; i < 4 * wave * Math.random() + crowd; i++) {
      const path = sent++ % 5 === 0 ? '/checkout' : '/';
      http.get({ port, host: '127.0.0.1', path, agent }, (response) => response.resume()).on('error', () => {});
    }
  }, 10);
  return () => {
    clearInterval(timer);
    agent.destroy();
  };
}

function quotaGroup(cores: number): string | undefined {
  const group = join('/sys/fs/cgroup/cpu', `shop-${process.pid}`);
  try {
    mkdirSync(group);
  } catch {
    return undefined;
  }
  t.after(() => rmdirSync(group));
  writeFileSync(join(group, 'cpu.cfs_quota_us'), String(cores * 100_000));
  return group;
}
