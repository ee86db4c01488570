/** What people and probes get to see of the server: the admin address, and the report that USR2 asks for. */
import type { Logger } from 'pino';
import type { AdminSource } from '../admin/admin.ts';
import type { SettingStatus, Status } from '../admin/status.ts';
import type { Listeners } from '../platform/listeners.ts';
import { readUsage } from '../platform/usage.ts';
import type { Sizing } from '../sizing.ts';
import type { History } from './history.ts';
import type { Pool } from './pool.ts';
import { reportOnWorkers } from './report.ts';
import type { Sizer } from './sizer.ts';
import { type StatusSources, statusOf } from './status.ts';
import type { Telemetry } from './telemetry.ts';
import type { WorkerHandle } from './worker-handle.ts';

export interface ViewsOptions {
  readonly pool: Pool;
  readonly workers: ReadonlyMap<number, WorkerHandle>;
  readonly listeners: Listeners;
  readonly telemetry: Telemetry;
  readonly history: History;
  readonly sizer: Sizer;
  readonly describeSettings: (sizing: Sizing) => Readonly<Record<string, SettingStatus>>;
  readonly process: NodeJS.Process;
  readonly log: Logger;
}

export class Views implements AdminSource {
  readonly #options: ViewsOptions;
  readonly #startedAt = performance.now();

  constructor(options: ViewsOptions) {
    this.#options = options;
  }

  readiness(): { ready: boolean; reason: string } {
    return this.#options.pool.readiness();
  }

  metrics(accept: string | undefined): Promise<{ contentType: string; text: string }> {
    return this.#options.telemetry.metrics(accept);
  }

  async status(): Promise<Status> {
    await this.#options.telemetry.refresh();
    return statusOf(this.#sources(), performance.now(), new Date());
  }

  /** To the server log, stacks included. */
  async report(): Promise<void> {
    const { pool, workers, telemetry, log } = this.#options;
    const lines = await reportOnWorkers({ pool, ledger: telemetry.ledger, workers }, performance.now());
    log.info({ target: pool.target, ...pool.readiness(), workers: lines }, 'status report');
  }

  #sources(): StatusSources {
    const { pool, workers, listeners, telemetry, history, sizer, describeSettings, process } = this.#options;
    const sizing = sizer.inForce;
    return {
      pool,
      ledger: telemetry.ledger,
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
