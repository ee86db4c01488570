/** What USR2 writes to the server log: how each worker is, and where its JavaScript is at this moment. */

import type { MetricsStore, Present } from './metrics/store.ts';
import type { WorkerView } from './pool/decisions.ts';
import type { WorkerProcess } from './worker-process.ts';

/** For workers that are well; an idle one has nothing to say. */
const PATIENCE_MS = 250;

export interface ReportSources {
  readonly pool: { readonly workers: readonly WorkerView[] };
  readonly store: Pick<MetricsStore, 'latest'>;
  /** By workerId. */
  readonly workers: ReadonlyMap<number, WorkerProcess>;
}

interface WorkerLine extends Partial<Present> {
  readonly worker: number;
  readonly workerId: number;
  readonly pid: number | undefined;
  readonly state: WorkerView['state'];
  /** Since its start. */
  readonly seconds: number;
  /** Its JavaScript, or, where it runs none, what the kernel says. */
  readonly stack?: string;
  readonly process?: string;
}

/** Asks all workers at once. `now` in milliseconds by the pool's clock. */
export function reportOnWorkers({ pool, store, workers }: ReportSources, now: number): Promise<WorkerLine[]> {
  return Promise.all(
    pool.workers.map(async ({ workerId, slot, state, startedAt }) => {
      const handle = workers.get(workerId);
      const seconds = Math.round((now - startedAt) / 1000);
      const where = await handle?.whereabouts(PATIENCE_MS);
      return { worker: slot, workerId, pid: handle?.pid, state, seconds, ...store.latest(workerId), ...where };
    }),
  );
}
