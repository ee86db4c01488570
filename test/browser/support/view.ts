/** The live page of a server under test, in a browser that is watched. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { AxeResults } from 'axe-core';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';

export interface View {
  readonly page: Page;
  /** Errors of scripts, refused resources, and requests to other addresses than the admin port. */
  readonly problems: string[];
}

export async function open(
  t: { after(fn: () => unknown): void },
  browser: Browser,
  adminPort: number,
  options: BrowserContextOptions = {},
): Promise<View> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  t.after(() => context.close());
  const origin = `http://127.0.0.1:${adminPort}/`;
  const problems: string[] = [];
  context.on('request', (request) => {
    if (!request.url().startsWith(origin)) problems.push(`request to ${request.url()}`);
  });
  const page = await context.newPage();
  page.on('console', (message) => {
    if (message.type() !== 'log') problems.push(`${message.type()}: ${message.text()}`);
  });
  page.on('pageerror', (error) => problems.push(String(error)));
  await page.goto(origin);
  await page.locator('#readiness[data-ready=true]').waitFor();
  return { page, problems };
}

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What axe-core finds wrong, one line each. It comes in over the debugging protocol: the page's policy stays. */
export async function accessibilityProblems(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  const { violations, incomplete, passes } = await page.evaluate(() => {
    const { axe } = window as unknown as { axe: { run(): Promise<AxeResults> } };
    return axe.run();
  });
  if (passes.length < 20) throw new Error(`axe-core looked at next to nothing: ${passes.length} rules`);
  const undecided = incomplete.filter(({ id }) => id !== 'color-contrast');
  return [...violations, ...undecided].flatMap(({ id, help, nodes }) =>
    nodes.map(
      ({ html, any }) => `${id}: ${help}: ${html.slice(0, 200)} ${any.map(({ message }) => message).join('; ')}`,
    ),
  );
}

/** Cells of the worker in this row of the table, by the label of their column. */
export async function workerRow(page: Page, index: number): Promise<Record<string, string>> {
  const cells = await page.locator(`#worker-rows > tr >> nth=${index}`).locator('td').all();
  const entries = cells.map(async (cell) => [
    await cell.getAttribute('data-label'),
    (await cell.locator('.text').textContent())?.trim(),
  ]);
  return Object.fromEntries(await Promise.all(entries));
}
