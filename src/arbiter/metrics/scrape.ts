/** From what workers report to what a scraper reads: store, collector and exposition in one place. */
import { setImmediate as turn } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { FromWorker } from '../../messages.ts';
import { CONTENT_TYPES, Exposition, formatFor } from '../../observe/metrics/exposition.ts';
import { acceptQueues } from '../../platform/kernel/accept-queues.ts';
import { readUsage } from '../../platform/kernel/usage.ts';
import type { Native } from '../../platform/native/native.ts';
import type { Listeners } from '../../platform/sockets.ts';
import type { Pool } from '../pool/pool.ts';
import type { WorkerProcess } from '../worker-process.ts';
import { Collector } from './collector.ts';
import { families } from './families.ts';
import { MetricsStore, type Subject } from './store.ts';

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
}

export type Report = FromWorker & { readonly type: 'heartbeat' | 'report' | 'app-report' };

export class MetricsCollector {
  readonly store: MetricsStore;
  readonly #options: MetricsCollectorOptions;
  readonly #collector: Collector;
  readonly #exposition = new Exposition();
  /** App reports may be long, and come from all workers at once: one a turn of the loop. */
  readonly #backlog: (() => void)[] = [];
  readonly #clashes = new Set<string>();
  #fresh: string[] = [];

  constructor(options: MetricsCollectorOptions) {
    this.#options = options;
    this.#collector = new Collector({ cpus: options.cpus, now: () => performance.now() });
    this.store = new MetricsStore((name) => {
      if (!this.#clashes.has(name)) this.#fresh.push(name);
      this.#clashes.add(name);
    });
  }

  received(worker: Subject, message: Report): void {
    this.#collector.heard(worker.workerId);
    switch (message.type) {
      case 'heartbeat':
        return this.store.add(worker, message.report);
      case 'report':
        this.store.add(worker, message.report);
        if (!message.more) this.#collector.answered(worker.workerId, message.serial);
        return;
      case 'app-report':
        return this.#later(() => {
          this.store.addApp(worker, message.report);
          this.#tellClashes();
          this.#collector.answered(worker.workerId, message.serial);
        });
      default:
        return message satisfies never;
    }
  }

  /** The worker ended, and everything that it sent has been received. */
  gone(worker: Subject): void {
    this.#collector.gone(worker.workerId);
    this.#later(() => this.store.gone(worker));
  }

  /** Fresh values of all workers that can give them within the collector's patience. */
  async refresh(): Promise<void> {
    const { pool, workers } = this.#options;
    const answering = pool.workers.filter(({ state }) => state !== 'booting');
    await this.#collector.collect(
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
    const scene = {
      store: this.store,
      pool,
      usage,
      queues: acceptQueues(listeners.sockets, { native }),
      process,
      now: performance.now(),
    };
    let text = '';
    for await (const piece of this.#exposition.print(families(scene), format)) {
      text += piece;
      await turn();
    }
    return { contentType: CONTENT_TYPES[format], text };
  }

  #later(work: () => void): void {
    if (this.#backlog.push(work) > 1) return;
    const next = (): void => {
      this.#backlog[0]?.();
      this.#backlog.shift();
      if (this.#backlog.length > 0) setImmediate(next);
    };
    setImmediate(next);
  }

  #tellClashes(): void {
    const names = this.#fresh.splice(0);
    if (names.length === 0) return;
    const subject = `the app's own metrics ${names.join(', ')} are left out of /metrics`;
    this.#options.log.warn(`${subject}: tsunicorn has metrics with these names; rename the app's`);
  }
}
