/**
 * Which worker runs what must run once (`onLeader()`). It leads until it says that it has stopped all of that, or until
 * its process has ended: never only because it is late, killed or told to drain. Pure.
 */
import { silent } from './failover.ts';
import type { PoolContext, PoolWorker } from './worker.ts';

export class Leadership {
  readonly #context: PoolContext;

  constructor(context: PoolContext) {
    this.#context = context;
  }

  due(now: number): void {
    const { workers } = this.#context;
    if ([...workers.values()].some((w) => w.lead === 'held')) return;
    const fit = workers.serving().filter((w) => w.lead === 'sought' && !silent(w, now));
    // One that is about to drain would have to stop again. It is better than none, as the next may take long to boot.
    const stays = (w: PoolWorker): boolean => w.state === 'ready' && !w.outdated;
    (fit.find(stays) ?? fit[0])?.takeLead();
  }
}
