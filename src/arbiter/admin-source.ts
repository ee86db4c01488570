/** What people and probes get to see of the server: the admin address, and the report that USR2 asks for. */
import type { Logger } from 'pino';
import type { AdminSource } from '../admin/routes.ts';
import type { SettingStatus, Status } from '../admin/status.ts';
import { readUsage } from '../platform/kernel/usage.ts';
import type { Listeners } from '../platform/sockets.ts';
import type { Sizing } from '../sizing.ts';
import type { History } from './history.ts';
import type { MetricsCollector } from './metrics/scrape.ts';
import type { Pool } from './pool/pool.ts';
import { reportOnWorkers } from './report.ts';
import type { Sizer } from './sizer.ts';
import { type StatusSources, statusOf } from './status.ts';
import type { WorkerProcess } from './worker-process.ts';

export interface AdminSourceOptions {
  readonly pool: Pool;
  readonly workers: ReadonlyMap<number, WorkerProcess>;
  readonly listeners: Listeners;
  readonly metrics: MetricsCollector;
  readonly history: History;
  readonly sizer: Sizer;
  readonly describeSettings: (sizing: Sizing) => Readonly<Record<string, SettingStatus>>;
  readonly process: NodeJS.Process;
  readonly log: Logger;
}

export class ArbiterAdminSource implements AdminSource {
  readonly #options: AdminSourceOptions;
  readonly #startedAt = performance.now();

  constructor(options: AdminSourceOptions) {
    this.#options = options;
  }

  readiness(): { ready: boolean; reason: string } {
    return this.#options.pool.readiness();
  }

  metrics(accept: string | undefined): Promise<{ contentType: string; text: string }> {
    return this.#options.metrics.metrics(accept);
  }

  async status(): Promise<Status> {
    await this.#options.metrics.refresh();
    return statusOf(this.#sources(), performance.now(), new Date());
  }

  /** To the server log, stacks included. */
  async report(): Promise<void> {
    const { pool, workers, metrics, log } = this.#options;
    const lines = await reportOnWorkers({ pool, store: metrics.store, workers }, performance.now());
    log.info({ target: pool.target, ...pool.readiness(), workers: lines }, 'status report');
  }

  #sources(): StatusSources {
    const { pool, workers, listeners, metrics, history, sizer, describeSettings, process } = this.#options;
    const sizing = sizer.inForce;
    return {
      pool,
      store: metrics.store,
      history,
      sizing,
      usage: readUsage(),
      settings: describeSettings(sizing),
      listeners: listeners.urls,
      processes: workers,
      pid: process.pid,
      startedAt: this.#startedAt,
    };
  }
}
