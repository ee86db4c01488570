/** What successive scrapes say: the series of one, and whether a counter ever fell. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { TestServer } from './server.ts';

export interface Scrape {
  readonly series: Readonly<Record<string, number>>;
  readonly text: string;
  readonly ms: number;
}

export async function scrape(server: TestServer): Promise<Scrape> {
  const from = performance.now();
  const { body } = await server.admin('/metrics');
  return { series: parse(body), text: body, ms: performance.now() - from };
}

/** The sum of all series whose name and labels match. */
export function total({ series }: Scrape, pattern: RegExp): number {
  return Object.entries(series)
    .filter(([name]) => pattern.test(name))
    .reduce((sum, [, value]) => sum + value, 0);
}

/** Scrapes over and over, and keeps what must not happen. */
export class Watch {
  readonly #server: TestServer;
  readonly #pauseMs: number;
  readonly #running: Promise<void>;
  #stopped = false;
  #last: Scrape | undefined;
  readonly falls: string[] = [];
  count = 0;
  slowest = 0;

  constructor(server: TestServer, pauseMs = 0) {
    this.#server = server;
    this.#pauseMs = pauseMs;
    this.#running = this.#run();
    this.#running.catch(() => {}); // thrown by `stop`
  }

  /** One more, and what was seen last. */
  async stop(): Promise<Scrape> {
    this.#stopped = true;
    await this.#running;
    await this.#look();
    return this.#last as Scrape;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      await this.#look();
      if (this.#pauseMs > 0) await sleep(this.#pauseMs);
    }
  }

  async #look(): Promise<void> {
    const now = await scrape(this.#server);
    this.count++;
    this.slowest = Math.max(this.slowest, now.ms);
    for (const [name, before] of Object.entries(this.#last?.series ?? {})) {
      if (!onlyGrows(name, now.text)) continue;
      const value = now.series[name];
      if (value === undefined || value < before) this.falls.push(`${name}: ${before} → ${value}`);
    }
    this.#last = now;
  }
}

function parse(text: string): Record<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return Object.fromEntries(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
  );
}

/** By the type that the text gives for its family. */
function onlyGrows(series: string, text: string): boolean {
  const name = series.replace(/\{.*/, '');
  const isHistogram = text.includes(`# TYPE ${name.replace(/_(bucket|sum|count)$/, '')} histogram\n`);
  return isHistogram || text.includes(`# TYPE ${name} counter\n`);
}
