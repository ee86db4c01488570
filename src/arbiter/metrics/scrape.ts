/**
 * A scrape: asks the workers for fresh reports, waits 250 ms at most, and prints everything. Workers on the same CPUs
 * answer one after another, so asking all at once would only make the arbiter wait its turn among them.
 */
import { setImmediate as turn } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { FromWorker } from '../../messages.ts';
import { CONTENT_TYPES, exposition, formatFor } from '../../observe/metrics/exposition.ts';
import { acceptQueues } from '../../platform/kernel/accept-queues.ts';
import { readUsage } from '../../platform/kernel/usage.ts';
import type { Native } from '../../platform/native/native.ts';
import type { Listeners } from '../../platform/sockets.ts';
import type { Pool } from '../pool/pool.ts';
import type { WorkerProcess } from '../worker-process.ts';
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

export interface MetricsCollectorOptions {
  readonly pool: Pool;
  readonly workers: ReadonlyMap<number, WorkerProcess>;
  readonly listeners: Listeners;
  readonly native: Native | undefined;
  /** Cores that may be used. */
  cpus(): number;
  readonly process: NodeJS.Process;
  readonly log: Pick<Logger, 'warn'>;
  /** Lines of that log that were dropped since the last call. */
  takeDroppedLines(): number;
  readonly failed: (what: string, error: unknown) => void;
}

type ReportMessage = FromWorker & { readonly type: 'heartbeat' | 'report' | 'app-report' };

/** From what workers report to what a scraper reads. */
export class MetricsCollector {
  readonly store: MetricsStore;
  readonly #options: MetricsCollectorOptions;
  readonly #reports: Reports;
  /** App reports may be long, and come from all workers at once: one a turn of the loop. */
  readonly #backlog: (() => void)[] = [];
  readonly #clashes = new Set<string>();
  #newClashes: string[] = [];

  constructor(options: MetricsCollectorOptions) {
    this.#options = options;
    this.#reports = new Reports({ cpus: options.cpus, now: () => performance.now() });
    this.store = new MetricsStore((name) => {
      if (!this.#clashes.has(name)) this.#newClashes.push(name);
      this.#clashes.add(name);
    });
  }

  received(worker: WorkerKey, message: ReportMessage): void {
    const { workerId } = worker;
    this.#reports.heard(workerId);
    switch (message.type) {
      case 'heartbeat':
        return this.store.add(worker, message.report);
      case 'report':
        this.store.add(worker, message.report);
        if (!message.more) this.#reports.answered(workerId, message.serial);
        return;
      case 'app-report':
        return this.#later(() => {
          this.store.addApp(worker, message.report);
          this.#warnOfClashes();
          this.#reports.answered(workerId, message.serial);
        });
      default:
        return message satisfies never;
    }
  }

  /** The worker ended, and everything that it sent has been received. */
  gone(worker: WorkerKey): void {
    this.#reports.gone(worker.workerId);
    this.#later(() => this.store.gone(worker));
  }

  /** Fresh values of all workers that answer in time. */
  async refresh(): Promise<void> {
    const { pool, workers } = this.#options;
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
    const { pool, listeners, native, process, takeDroppedLines } = this.#options;
    this.store.linesDropped(takeDroppedLines());
    const format = formatFor(accept);
    const usage = readUsage();
    await turn();
    const snapshot = {
      store: this.store,
      pool,
      usage,
      queues: acceptQueues(listeners.sockets, { native }),
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
        this.#options.failed("adding a worker's metrics", error);
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
    this.#options.log.warn(`${subject}: tsunicorn has metrics with these names; rename the app's`);
  }
}

export interface ReportingWorker {
  readonly workerId: number;
  ask(serial: number): void;
}

export interface ReportsOptions {
  /** Cores that may be used. */
  cpus(): number;
  /** Milliseconds of a monotonic clock. */
  now(): number;
}

/** Asks workers for reports, in rounds. */
export class Reports {
  readonly #options: ReportsOptions;
  #serial = 0;
  #round: Round | undefined;
  /** They did not answer a round, and have been silent since: later rounds do not wait for them. */
  readonly #silent = new Set<number>();
  #current: Promise<void> | undefined;

  constructor(options: ReportsOptions) {
    this.#options = options;
  }

  /** Resolves when all have answered, after {@link PATIENCE_MS} at the latest. Calls at the same time share a round. */
  collect(workers: Iterable<ReportingWorker>): Promise<void> {
    this.#current ??= this.#collect([...workers]).finally(() => {
      this.#current = undefined;
    });
    return this.#current;
  }

  /** The worker said something: the next round waits for it again. */
  heard(workerId: number): void {
    this.#silent.delete(workerId);
  }

  answered(workerId: number, serial: number): void {
    if (serial === this.#serial) this.#round?.done(workerId);
  }

  gone(workerId: number): void {
    this.heard(workerId);
    this.#round?.done(workerId);
  }

  async #collect(workers: readonly ReportingWorker[]): Promise<void> {
    const serial = ++this.#serial;
    const { silent = [], others = [] } = Object.groupBy(workers, ({ workerId }) =>
      this.#silent.has(workerId) ? 'silent' : 'others',
    );
    this.#round = new Round(others, serial, this.#options);
    for (const worker of silent) worker.ask(serial);
    for (const workerId of await this.#round.missing) this.#silent.add(workerId);
    this.#round = undefined;
  }
}

class Round {
  readonly #workers: readonly ReportingWorker[];
  readonly #serial: number;
  readonly #places: number;
  /** Workers that have had their turn. */
  #turns = 0;
  /** Asked, no answer yet. */
  readonly #busy = new Set<number>();
  readonly #missing: Set<number>;
  readonly #end = Promise.withResolvers<ReadonlySet<number>>();
  readonly #timers: readonly NodeJS.Timeout[];

  constructor(workers: readonly ReportingWorker[], serial: number, { cpus, now }: ReportsOptions) {
    this.#workers = workers;
    this.#serial = serial;
    this.#missing = new Set(workers.map(({ workerId }) => workerId));
    this.#places = Math.max(PLACES_PER_CPU, Math.ceil(cpus() * PLACES_PER_CPU));
    const { from, to } = CATCH_UP_MS;
    const startedAt = now();
    const due = (): number => ((now() - startedAt - from) / (to - from)) * workers.length;
    this.#timers = [
      setTimeout(() => this.#finish(), PATIENCE_MS),
      // setImmediate: answers that came while the loop was busy are read first.
      setInterval(() => setImmediate(() => this.#ask(due())), CHECK_MS),
    ];
    this.#ask();
  }

  /** Resolves at the end with the workers that have not answered. */
  get missing(): Promise<ReadonlySet<number>> {
    return this.#end.promise;
  }

  /** It answered, or never will. */
  done(workerId: number): void {
    this.#missing.delete(workerId);
    this.#busy.delete(workerId);
    this.#ask();
  }

  /** Fills the places, and asks at least as many in all as are `due` by now. */
  #ask(due = 0): void {
    if (this.#missing.size === 0) return this.#finish();
    while (this.#busy.size < this.#places || this.#turns < due) {
      const worker = this.#workers[this.#turns];
      if (worker === undefined) return;
      this.#turns++;
      if (!this.#missing.has(worker.workerId)) continue;
      this.#busy.add(worker.workerId);
      worker.ask(this.#serial);
    }
  }

  #finish(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#end.resolve(this.#missing);
  }
}
