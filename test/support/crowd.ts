/** Looks at a server's workers all the while something is done to it. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { TestServer } from './server.ts';

export interface Crowd {
  /** Processes, from the kernel. */
  most: number;
  fewest: number;
  /** Workers that serve, from `/readyz`. */
  fewestReady: number;
}

/** `t.after` ends it; the function that it gives does, and says what was seen. */
export function watchCrowd(t: { after(fn: () => unknown): void }, server: TestServer): () => Promise<Crowd> {
  const seen = { most: 0, fewest: Number.POSITIVE_INFINITY, fewestReady: Number.POSITIVE_INFINITY };
  let watching = true;
  const ended = watch();
  t.after(() => {
    watching = false;
  });
  return async () => {
    watching = false;
    await ended;
    return seen;
  };

  async function watch(): Promise<void> {
    while (watching && server.exitCode === undefined) {
      const { length } = server.workerPids();
      seen.most = Math.max(seen.most, length);
      seen.fewest = Math.min(seen.fewest, length);
      const answer = await server.admin('/readyz').catch(() => undefined); // it may end meanwhile
      if (answer)
        seen.fewestReady = Math.min(seen.fewestReady, Number(/(\d+) of \d+ workers/.exec(answer.body)?.[1] ?? 0));
      await sleep(10);
    }
  }
}
