/** The live page in a real browser, before a real server. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import type { Status } from '../../src/admin/status.ts';
import { Load } from '../support/load.ts';
import { start, type TestServer } from '../support/server.ts';
import { waitFor } from '../support/wait.ts';
import { launch, skipReason } from './support/chromium.ts';
import { accessibilityProblems, open, workerRow } from './support/view.ts';

const skip = await skipReason();
const quiet = { TSUNICORN_ACCESS_LOG: 'off' };

/** What a reader hears or reads of a chart. */
const chart = (page: Page, title: string) =>
  page.getByRole('img', { name: new RegExp(`^${title.replace(/[()]/g, '\\$&')}`) });

async function status(server: TestServer): Promise<Status> {
  return JSON.parse((await server.admin('/status')).body);
}

describe('the live page', { skip }, () => {
  let browser: Browser;
  before(async () => {
    browser = await launch();
  });
  after(() => browser?.close());

  const serve = async (t: { after(fn: () => unknown): void }, env = {}) =>
    await (await start(t, { app: 'basic.js', env: { ...quiet, ...env } })).ready();

  it('loads under its policy, and says what /status says', async (t) => {
    const server = await serve(t, { TSUNICORN_KEEPALIVE: '61' });
    const { page, problems } = await open(t, browser, server.adminPort);
    const { versions, pid, sizing } = await status(server);
    assert.equal(await page.title(), 'tsunicorn: 2 of 2 workers are ready');
    assert.match((await page.locator('#readiness').textContent()) ?? '', /^Ready\s+2 of 2 workers are ready$/);
    const facts = (await page.locator('#facts').textContent()) ?? '';
    for (const fact of [versions.tsunicorn, versions.node, `pid ${pid}`, `127.0.0.1:${server.port}`]) {
      assert.ok(facts.includes(fact), `${fact} in ${facts}`);
    }
    assert.equal(await page.locator('#worker-rows > tr').count(), 2);
    const rows = [await workerRow(page, 0), await workerRow(page, 1)];
    assert.deepEqual(rows.map(({ Pid }) => Number(Pid)).sort(), server.workerPids().sort());
    for (const row of rows) {
      assert.equal(row.State, 'ready');
      assert.match(row['RSS of heap limit'] ?? '', /^\d+ (MiB )?of [\d.]+ (MiB|GiB)$/);
      assert.match(row['Loop busy'] ?? '', / %$/);
    }
    const words = (await page.locator('#sizing').textContent()) ?? '';
    assert.match(words, /TSUNICORN_WORKERS asks for 2 workers/);
    assert.ok(words.includes(`${sizing.limits.onlineCpus} CPU`), words);
    await page.locator('#settings > summary').click();
    const keepalive = page.getByRole('row', { name: 'TSUNICORN_KEEPALIVE' });
    assert.match((await keepalive.textContent()) ?? '', /TSUNICORN_KEEPALIVE61env/);
    assert.deepEqual(problems, []);
  });

  it('is held by its policy: no script from elsewhere, no text that becomes markup', async (t) => {
    const server = await serve(t, { TSUNICORN_ACCESS_LOG: '-' });
    const { page } = await open(t, browser, server.adminPort);
    const { violations, thrown } = await page.evaluate(async (foreign) => {
      const violations: string[] = [];
      document.addEventListener('securitypolicyviolation', ({ effectiveDirective }) =>
        violations.push(effectiveDirective),
      );
      const thrown: string[] = [];
      try {
        document.createElement('script').src = foreign;
      } catch {
        thrown.push('script');
      }
      try {
        document.body.insertAdjacentHTML('beforeend', '<b>x</b>');
      } catch {
        thrown.push('markup');
      }
      document.body.append(Object.assign(document.createElement('img'), { src: foreign }));
      await fetch(foreign).catch(() => {});
      const style = document.createElement('style');
      style.textContent = 'body { display: none }';
      document.head.append(style);
      await new Promise((resolve) => setTimeout(resolve, 100));
      return { violations, thrown };
    }, `http://127.0.0.1:${server.port}/`);
    assert.deepEqual(thrown, ['script', 'markup']);
    for (const directive of ['require-trusted-types-for', 'connect-src', 'img-src', 'style-src-elem']) {
      assert.ok(violations.includes(directive), `${directive} in ${violations}`);
    }
    assert.equal(await server.stop(), 0);
    assert.deepEqual(server.access, [], 'no other server was asked');
  });

  it('follows real load: requests, latency, errors', async (t) => {
    const server = await serve(t);
    const { page, problems } = await open(t, browser, server.adminPort);
    assert.match(
      (await chart(page, 'Time to answer').getAttribute('aria-label')) ?? '',
      /nothing collected|no requests/,
    );
    for (let i = 0; i < 40; i++) await server.get('/');
    for (let i = 0; i < 4; i++) assert.equal((await server.get('/throw')).status, 500);
    await server.get('/slow?ms=400');
    const total = async () => {
      const rows = [await workerRow(page, 0), await workerRow(page, 1)];
      return rows.reduce((sum, { Requests = '0' }) => sum + Number(Requests.replace(',', '')), 0);
    };
    await waitFor('every request is shown', async () => (await total()) === 45, { state: () => problems });
    const label = (title: string) => async () => (await chart(page, title).getAttribute('aria-label')) ?? '';
    const shows = async (title: string, text: RegExp) => {
      await waitFor(`${title} ~ ${text}`, async () => text.test(await label(title)()));
    };
    // 45 in one interval of two seconds, or spread over two.
    await shows('Requests a second', /highest ([5-9]|1\d|2\d)(\.\d)?\./);
    await shows('Errors (5xx) a second', /highest (0\.[5-9]\d?|1(\.\d+)?|2(\.\d+)?)\./);
    await shows('Time to answer', /p99: now .*highest (3|4)\d\d ms/);
    const load = new Load(t, { port: server.port, clients: 8, kind: 'keep-alive' });
    await shows('Requests a second', /now (\d{3}|\d+,\d{3})/);
    await waitFor('connections are shown', async () => {
      const { workers } = await status(server);
      const shown = await Promise.all(workers.map((_, i) => workerRow(page, i)));
      return shown.reduce((sum, { Connections }) => sum + Number(Connections), 0) === 8;
    });
    await load.stop();
    assert.deepEqual(problems, []);
  });

  it('shows the end of a worker, with its stack where there is one, and says so once', async (t) => {
    const server = await serve(t, { TSUNICORN_GRACEFUL_TIMEOUT: '1' });
    const { page, problems } = await open(t, browser, server.adminPort);
    assert.equal(await page.locator('#no-exits').isVisible(), true);
    const victim = Number((await workerRow(page, 0)).Pid);
    process.kill(victim, 'SIGKILL');
    await page.getByText(`slot 0 · worker #`).first().waitFor();
    assert.equal(await page.locator('#no-exits').isVisible(), false);
    assert.match((await page.locator('#exits > li').first().textContent()) ?? '', /crash.*SIGKILL.*slot 0/);
    assert.equal(await page.locator('#exits details').count(), 0, 'it left nothing to open');
    assert.match((await page.getByRole('status').textContent()) ?? '', /The worker of slot 0 ended: crash, SIGKILL\./);
    await waitFor('its replacement is shown', async () => {
      const row = await workerRow(page, 0);
      return row.State === 'ready' && row.Restarts === '1' && Number(row.Pid) !== victim;
    });

    await server.get('/uncaught').catch(() => undefined);
    const summary = page.locator('#exits summary').first();
    await summary.waitFor();
    await summary.focus();
    await page.keyboard.press('Enter');
    const stack = page.locator('#exits pre').first();
    assert.equal(await stack.isVisible(), true);
    assert.match((await stack.textContent()) ?? '', /uncaught on purpose\n\s+at .*basic\.js:\d+:\d+/);
    // The next answers leave it open.
    const before = await page.locator('#facts').textContent();
    await waitFor('another answer', async () => (await page.locator('#facts').textContent()) !== before);
    assert.equal(await stack.isVisible(), true);
    assert.deepEqual(problems, []);
  });

  it('can be worked by keyboard alone', async (t) => {
    const server = await serve(t);
    const { page, problems } = await open(t, browser, server.adminPort);
    const focused = () => page.evaluate(() => document.activeElement?.id || document.activeElement?.textContent || '');
    await page.keyboard.press('Tab');
    assert.equal(await focused(), 'Skip to the workers');
    assert.ok((await page.locator('.skip').boundingBox())?.y ?? -1 >= 0, 'it is seen when it has the focus');
    await page.keyboard.press('Tab');
    assert.equal(await focused(), 'pause');
    const outline = await page.locator('#pause').evaluate((button) => getComputedStyle(button).outlineStyle);
    assert.notEqual(outline, 'none', 'the focus is seen');
    await page.keyboard.press('Space');
    assert.equal(await page.locator('#pause').getAttribute('aria-pressed'), 'true');
    await page.keyboard.press('Space');
    await page.keyboard.press('Tab');
    assert.match(await focused(), /Settings in force/);
    await page.keyboard.press('Enter');
    await page.keyboard.press('Tab');
    assert.equal(await focused(), 'filter');
    await page.keyboard.type('worker heap');
    const visible = page.locator('#setting-rows > tr:visible');
    assert.deepEqual(await visible.locator('th').allTextContents(), ['TSUNICORN_WORKER_HEAP']);
    assert.match((await page.locator('#matches').textContent()) ?? '', /^1 setting of \d+$/);
    await page.locator('#filter').fill('');
    await page.keyboard.press('Tab');
    assert.equal(await focused(), 'changed');
    await page.keyboard.press('Space');
    const given = await visible.locator('th').allTextContents();
    assert.ok(given.includes('TSUNICORN_BIND') && !given.includes('TSUNICORN_KEEPALIVE'), `${given}`);
    for (const path of ['/status', '/metrics', '/readyz', '/livez']) {
      await page.keyboard.press('Tab');
      assert.equal(await focused(), path);
    }
    assert.deepEqual(problems, []);
  });

  it('asks nothing while it is paused or hidden', async (t) => {
    const server = await serve(t);
    const { page, problems } = await open(t, browser, server.adminPort);
    let asked = 0;
    page.on('request', () => asked++);
    // An interval is over when a second answer came; then twice that without one is a pause.
    const intervalMs = async () => {
      await waitFor('it asks', () => asked >= 1);
      asked = 0;
      const from = performance.now();
      await waitFor('it asks again', () => asked >= 1);
      return performance.now() - from;
    };
    const quietFor = async (ms: number) => {
      await page.waitForTimeout(100); // for the one that is on its way
      asked = 0;
      await page.waitForTimeout(ms);
      return asked === 0;
    };
    const interval = await intervalMs();
    assert.ok(interval > 1_000 && interval < 4_000, `${interval}`);
    await page.locator('#pause').click();
    assert.ok(await quietFor(2 * interval), 'paused');
    await page.locator('#pause').click();
    await waitFor('it asks at once', () => asked > 0, { seconds: (0.8 * interval) / 1_000 });
    const hide = (hidden: boolean) =>
      page.evaluate((value) => {
        Object.defineProperty(document, 'hidden', { configurable: true, get: () => value });
        document.dispatchEvent(new Event('visibilitychange'));
      }, hidden);
    await hide(true);
    assert.ok(await quietFor(2 * interval), 'hidden');
    await hide(false);
    await waitFor('it asks at once', () => asked > 0, { seconds: (0.8 * interval) / 1_000 });
    assert.deepEqual(problems, []);
  });

  it('says when the server does not answer, and when it does again', async (t) => {
    const server = await serve(t);
    const { page } = await open(t, browser, server.adminPort, { viewport: { width: 360, height: 740 } });
    await page.evaluate(() => scrollTo(0, document.body.scrollHeight));
    server.signal('SIGSTOP');
    const bar = page.getByText('The server has not answered since');
    await bar.waitFor();
    const { y = -1 } = (await bar.boundingBox()) ?? {};
    assert.ok(y >= 0 && y < 740, `it is seen from the end of the page too: ${y}`);
    assert.equal(await page.getByRole('status').textContent(), 'The server does not answer.');
    server.signal('SIGCONT');
    await page.locator('#silence').waitFor({ state: 'hidden' });
    assert.equal(await page.getByRole('status').textContent(), 'The server answers again.');

    assert.equal(await server.stop(), 0);
    await bar.waitFor();
    const next = await start(t, {
      app: 'basic.js',
      env: { ...quiet, TSUNICORN_ADMIN_BIND: `127.0.0.1:${server.adminPort}` },
    });
    await page.getByText(`pid ${next.pid}`).waitFor();
    await page.locator('#silence').waitFor({ state: 'hidden' });
    await page.locator('#worker-rows > tr').nth(1).waitFor();
    assert.deepEqual(
      [await workerRow(page, 0), await workerRow(page, 1)].map(({ Restarts }) => Restarts),
      ['0', '0'],
    );
  });

  const sizes = {
    desktop: { width: 1280, height: 800 },
    tablet: { width: 800, height: 900 },
    phone: { width: 360, height: 740 },
  };
  for (const [name, viewport] of Object.entries(sizes)) {
    for (const colorScheme of ['light', 'dark'] as const) {
      it(`has room and is accessible: ${name}, ${colorScheme}`, async (t) => {
        const server = await serve(t, { TSUNICORN_GRACEFUL_TIMEOUT: '1' });
        await server.get('/throw');
        await server.get('/uncaught').catch(() => undefined);
        await server.untilLogged('worker ended');
        const { page, problems } = await open(t, browser, server.adminPort, { viewport, colorScheme });
        await page.locator('#exits summary').first().click();
        await page.locator('#settings > summary').click();
        await page.locator('#setting-rows > tr').first().waitFor();
        const width = await page.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(width <= viewport.width, `${width} px wide`);
        const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
        const [red = 0] = /\d+/.exec(background)?.map(Number) ?? [];
        assert.equal(red < 60, colorScheme === 'dark', background);
        assert.deepEqual(await accessibilityProblems(page), []);
        assert.deepEqual(problems, []);
      });
    }
  }

  it('has no transitions with reduced motion', async (t) => {
    const server = await serve(t);
    const moves = async (reducedMotion: 'reduce' | 'no-preference') => {
      const { page } = await open(t, browser, server.adminPort, { reducedMotion });
      return await page
        .locator('.bar > span')
        .first()
        .evaluate((bar) => getComputedStyle(bar).transitionDuration !== '0s');
    };
    assert.deepEqual([await moves('no-preference'), await moves('reduce')], [true, false]);
  });
});
