/** Load through a proxy, every request of which is accounted for. */
import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { Load } from '../../support/load.ts';
import { request } from '../../support/server.ts';
import { waitFor } from '../../support/wait.ts';
import type { Cleaner } from './podman.ts';

/** GETs on lasting connections and on new ones. */
export class Gets {
  readonly #loads: readonly Load[];
  constructor(t: Cleaner, port: number) {
    this.#loads = [
      new Load(t, { port, clients: 8, kind: 'keep-alive' }),
      new Load(t, { port, clients: 8, kind: 'short' }),
    ];
  }

  get ok(): number {
    return this.#loads.reduce((sum, { result }) => sum + result.ok, 0);
  }

  get failures(): Record<string, number> {
    return Object.assign({}, ...this.#loads.map(({ result }) => result.failures));
  }

  async until(count: number): Promise<void> {
    await waitFor(`${count} answers`, () => this.ok >= count || Object.keys(this.failures).length > 0, {
      seconds: 120,
      state: () => this.ok,
    });
  }

  async stop(): Promise<Record<string, number>> {
    await Promise.all(this.#loads.map((load) => load.stop()));
    return this.failures;
  }
}

/**
 * POSTs, which nginx must not repeat, on lasting connections, each client `pauseMs` after its last answer; answers every
 * status or error that is not 200.
 */
export function posts(t: Cleaner, port: number, pauseMs = 2): () => Promise<string[]> {
  const agent = new http.Agent({ keepAlive: true });
  t.after(() => agent.destroy());
  const failures: string[] = [];
  let stopped = false;
  const clients = Array.from({ length: 4 }, async () => {
    while (!stopped) {
      await request({ host: '127.0.0.1', port, path: '/upload', method: 'POST', body: 'x'.repeat(1000), agent }).then(
        ({ status }) => status === 200 || failures.push(String(status)),
        // nginx may end an idle connection as the client sends on it, by its own rules; the tests here do not reload it.
        (error: Error) => failures.push(error.message),
      );
      await sleep(pauseMs);
    }
  });
  return async () => {
    stopped = true;
    await Promise.all(clients);
    return failures;
  };
}
