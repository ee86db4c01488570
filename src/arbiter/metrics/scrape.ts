/**
 * A scrape: asks the workers for fresh reports, waits 250 ms at most, and prints everything. Workers on the same CPUs
 * answer one after another, so asking all at once would only make the arbiter wait its turn among them.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { CONTENT_TYPES, exposition, formatFor } from '../../observe/metrics/exposition.ts';
import { acceptQueues } from '../../platform/kernel/accept-queues.ts';
import { readUsage } from '../../platform/kernel/usage.ts';
import type { ArbiterContext, ReportMessage } from '../context.ts';
import { families } from './families.ts';
import { MetricsStore, type WorkerKey } from './store.ts';

/** A silent worker delays a scrape by no more than this (contract, section 8). */
export const PATIENCE_MS = 250;

/**
 * Workers per CPU that work on their answers at a time, as long as answers come. With more the arbiter waits its turn;
 * with fewer CPUs idle while it reads (docs/decisions/0008-metrics.md has the figures).
 */
const PLACES_PER_CPU = 2;

/** Where answers do not come, the others are asked anyway, spread over this time, which leaves some to answer in. */
const CATCH_UP_MS = { from: 100, to: 200 };
const CHECK_MS = 20;

export class MetricsCollector {
  readonly store: MetricsStore;
  readonly #context: Omit<ArbiterContext, 'metrics'>;
  readonly #reports: Reports;
  /** App reports may be long, and come from all workers at once: one a turn of the loop. */
  readonly #backlog: (() => void)[] = [];
  readonly #clashes = new Set<string>();
  #newClashes: string[] = [];

  constructor(context: Omit<ArbiterContext, 'metrics'>) {
    this.#context = context;
    this.#reports = new Reports({ cpus: () => context.sizer.inForce.cpus, now: () => performance.now() });
    this.store = new MetricsStore((name) => {
      if (!this.#clashes.has(name)) this.#newClashes.push(name);
      this.#clashes.add(name);
    });
  }

  received(worker: WorkerKey, message: ReportMessage): void {
    const { workerId } = worker;
    this.#reports.heard(workerId);
    if (message.type === 'app-report') {
      return this.#later(() => {
        this.store.addApp(worker, message.report);
        this.#warnOfClashes();
        this.#reports.answered(workerId, message.serial);
      });
    }
    this.store.add(worker, message.report);
    if (message.type === 'report' && !message.more) this.#reports.answered(workerId, message.serial);
  }

  /** The worker ended, and everything that it sent has been received. */
  gone(worker: WorkerKey): void {
    this.#reports.gone(worker.workerId);
    this.#later(() => this.store.gone(worker));
  }

  async refresh(): Promise<void> {
    const { pool, workers } = this.#context;
    const answering = pool.workers.filter(({ state }) => state !== 'booting');
    await this.#reports.collect(
      answering.flatMap(({ workerId }) => {
        const worker = workers.get(workerId);
        return worker ? [{ workerId, ask: (serial: number) => worker.send({ type: 'report', serial }) }] : [];
      }),
    );
  }

  /** The answer to a scrape, in the form that `accept` asks for. */
  async metrics(accept: string | undefined): Promise<{ contentType: string; text: string }> {
    await this.refresh();
    const { pool, listeners, native, process, serverLog } = this.#context;
    this.store.linesDropped(serverLog.destination.takeDropped());
    const format = formatFor(accept);
    const usage = readUsage();
    await turn();
    const snapshot = {
      store: this.store,
      pool,
      usage,
      queues: acceptQueues(listeners.sockets, { native: native.native }),
      process,
      now: performance.now(),
    };
    let text = '';
    for await (const piece of exposition(families(snapshot), format)) {
      text += piece;
      await turn();
    }
    return { contentType: CONTENT_TYPES[format], text };
  }

  #later(work: () => void): void {
    if (this.#backlog.push(work) > 1) return;
    const next = (): void => {
      try {
        this.#backlog[0]?.();
      } catch (error) {
        this.#context.failed("adding a worker's metrics", error);
      }
      this.#backlog.shift();
      if (this.#backlog.length > 0) setImmediate(next);
    };
    setImmediate(next);
  }

  #warnOfClashes(): void {
    const names = this.#newClashes.splice(0);
    if (names.length === 0) return;
    const subject = `the app's own metrics ${names.join(', ')} are left out of /metrics`;
    this.#context.log.warn(`${subject}: tsunicorn has metrics with these names; rename the app's`);
  }
}

export interface ReportingWorker {
  readonly workerId: number;
  ask(serial: number): void;
}

export class Reports {
  readonly #cpus: () => number;
  readonly #now: () => number;
  #serial = 0;
  /** They did not answer a round, and have been silent since: later rounds do not wait for them. */
  readonly #silent = new Set<number>();
  #current: Promise<void> | undefined;
  /** The current round need not wait for this worker: it answered, or never will. */
  #done: (workerId: number) => void = () => {};

  /** `cpus`: cores that may be used. `now`: milliseconds of a monotonic clock. */
  constructor({ cpus, now }: { cpus: () => number; now: () => number }) {
    this.#cpus = cpus;
    this.#now = now;
  }

  /** Resolves when all have answered, after {@link PATIENCE_MS} at the latest. Calls at the same time share a round. */
  collect(workers: readonly ReportingWorker[]): Promise<void> {
    this.#current ??= this.#round(workers).finally(() => {
      this.#current = undefined;
    });
    return this.#current;
  }

  /** The worker said something: the next round waits for it again. */
  heard(workerId: number): void {
    this.#silent.delete(workerId);
  }

  answered(workerId: number, serial: number): void {
    if (serial === this.#serial) this.#done(workerId);
  }

  gone(workerId: number): void {
    this.heard(workerId);
    this.#done(workerId);
  }

  async #round(workers: readonly ReportingWorker[]): Promise<void> {
    const serial = ++this.#serial;
    const awaited = workers.filter(({ workerId }) => !this.#silent.has(workerId));
    const missing = new Set(awaited.map(({ workerId }) => workerId));
    const busy = new Set<number>();
    const places = Math.max(PLACES_PER_CPU, Math.ceil(this.#cpus() * PLACES_PER_CPU));
    const { promise: end, resolve: finish } = Promise.withResolvers<void>();
    let turns = 0;
    /** Fills the places, and asks at least as many in all as are `due` by now. */
    const ask = (due = 0): void => {
      if (missing.size === 0) return finish();
      for (; turns < awaited.length && (busy.size < places || turns < due); turns++) {
        const worker = awaited[turns];
        if (!worker || !missing.has(worker.workerId)) continue;
        busy.add(worker.workerId);
        worker.ask(serial);
      }
    };
    this.#done = (workerId) => {
      missing.delete(workerId);
      busy.delete(workerId);
      ask();
    };
    const startedAt = this.#now();
    const { from, to } = CATCH_UP_MS;
    const due = (): number => ((this.#now() - startedAt - from) / (to - from)) * awaited.length;
    const timeout = setTimeout(finish, PATIENCE_MS);
    // setImmediate: answers that came while the loop was busy are read first.
    const catchUp = setInterval(() => setImmediate(() => ask(due())), CHECK_MS);
    ask();
    for (const worker of workers) if (this.#silent.has(worker.workerId)) worker.ask(serial);
    await end;
    clearTimeout(timeout);
    clearInterval(catchUp);
    this.#done = () => {};
    for (const workerId of missing) this.#silent.add(workerId);
  }
}
