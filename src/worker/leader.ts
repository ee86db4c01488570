/** The functions given to `onLeader()`: they run while this worker leads, and are told to stop when it drains. */
import { getEventListeners } from 'node:events';
import type { LeaderJob } from '../worker-hook.ts';
import type { Channel } from './channel.ts';

interface RunningJob {
  readonly abort: AbortController;
  /** Resolves once the function has returned, however it did. */
  readonly settled: Promise<void>;
  returned: boolean;
}

export class LeaderJobs {
  readonly #channel: Pick<Channel, 'send'>;
  readonly #jobs: LeaderJob[] = [];
  readonly #running: RunningJob[] = [];
  #state: 'none' | 'seeks' | 'leads' | 'ended' = 'none';

  constructor(channel: Pick<Channel, 'send'>) {
    this.#channel = channel;
  }

  add(job: LeaderJob): void {
    if (this.#state === 'ended') return; // it drains: another worker will lead
    this.#jobs.push(job);
    if (this.#state === 'leads') return this.#start(job);
    if (this.#state === 'none') this.#channel.send({ type: 'seek-lead' });
    this.#state = 'seeks';
  }

  /** The arbiter says so, and lets no other worker lead until this one has resigned or ended. */
  lead(): void {
    if (this.#state === 'ended') return this.#channel.send({ type: 'resign' }); // it has begun to drain meanwhile
    this.#state = 'leads';
    for (const job of this.#jobs) this.#start(job);
  }

  /** Resolves when all of them have returned. */
  async end(): Promise<void> {
    const led = this.#state === 'leads';
    this.#state = 'ended';
    if (!led) return;
    // What a function left behind that returned before, such as a timer, goes on until the process ends, unless it listens.
    const leftovers = this.#running.some(
      ({ returned, abort }) => returned && getEventListeners(abort.signal, 'abort').length === 0,
    );
    for (const { abort } of this.#running) abort.abort();
    await Promise.all(this.#running.map(({ settled }) => settled));
    if (!leftovers) this.#channel.send({ type: 'resign' });
  }

  #start(job: LeaderJob): void {
    const abort = new AbortController();
    const run = (async () => await job(abort.signal))();
    const returned = (): void => {
      running.returned = true;
    };
    const running = { abort, settled: run.then(returned, returned), returned: false };
    this.#running.push(running);
    // What it throws is an unhandled rejection, as of any function that nobody awaits.
    run.catch((error: unknown) => {
      if (!abort.signal.aborted || !isAbort(error)) throw error;
    });
  }
}

/** What `setTimeout()` of node:timers/promises, `fetch()` and others throw when their signal is aborted. */
function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}
