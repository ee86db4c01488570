/** What USR2 writes to the server log: how each worker is, and where its JavaScript is at this moment. */
import type { PoolWorker } from './decisions.ts';
import type { Ledger, Present } from './ledger.ts';
import type { WorkerHandle } from './worker-handle.ts';

/** For workers that are well; an idle one has nothing to say. */
const PATIENCE_MS = 250;

export interface ReportSources {
  readonly pool: { readonly workers: readonly PoolWorker[] };
  readonly ledger: Pick<Ledger, 'latest'>;
  /** By age. */
  readonly workers: ReadonlyMap<number, WorkerHandle>;
}

interface WorkerLine extends Partial<Present> {
  readonly worker: number;
  readonly age: number;
  readonly pid: number | undefined;
  readonly state: PoolWorker['state'];
  /** Since its start. */
  readonly seconds: number;
  /** Its JavaScript, or, where it runs none, what the kernel says. */
  readonly stack?: string;
  readonly process?: string;
}

/** Asks all workers at once. `now` in milliseconds by the pool's clock. */
export function reportOnWorkers({ pool, ledger, workers }: ReportSources, now: number): Promise<WorkerLine[]> {
  return Promise.all(
    pool.workers.map(async ({ age, slot, state, bornAt }) => {
      const handle = workers.get(age);
      const seconds = Math.round((now - bornAt) / 1000);
      const where = await handle?.whereabouts(PATIENCE_MS);
      return { worker: slot, age, pid: handle?.pid, state, seconds, ...ledger.latest(age), ...where };
    }),
  );
}
