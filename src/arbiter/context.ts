/** What the arbiter is started with, and what its parts share. */
import type { SettingStatus } from '../admin/status.ts';
import type { Reread } from '../config/reread.ts';
import type { Settings } from '../config/settings.ts';
import type { FromWorker } from '../messages.ts';
import type { Logger, ServerLog } from '../observe/log/server-log.ts';
import type { Limits } from '../platform/kernel/limits.ts';
import type { LoadedNative } from '../platform/native/native.ts';
import type { Signals } from '../platform/signals.ts';
import type { Listeners } from '../platform/sockets.ts';
import type { Sizing } from '../sizing.ts';
import type { ExitHistory } from './exit-history.ts';
import type { MetricsStore } from './metrics/store.ts';
import type { Pool } from './pool/pool.ts';
import type { Relay } from './relay.ts';
import type { Sizer } from './sizer.ts';
import type { WorkerProcess } from './worker-process.ts';

export type ReportMessage = FromWorker & { readonly type: 'heartbeat' | 'report' | 'app-report' };

export interface ArbiterOptions {
  /** Of workers that start now: HUP may change them. */
  settings: Settings;
  /** Which of them the user gave. */
  readonly given: () => readonly (keyof Settings)[];
  /** For HUP. Throws ConfigError where the old ones stay. */
  readonly rereadSettings: () => Reread;
  /** Every setting as in `config --json`, with what sizing chose for `auto`. */
  readonly describeSettings: (sizing: Sizing) => Readonly<Record<string, SettingStatus>>;
  readonly readLimits: () => Limits;
  readonly serverLog: ServerLog;
  readonly signals: Signals;
  readonly process: NodeJS.Process;
}

export interface ArbiterContext extends ArbiterOptions {
  readonly log: Logger;
  readonly pool: Pool;
  readonly sizer: Sizer;
  readonly listeners: Listeners;
  /** By workerId, from the spawn until the exit has been handled. */
  readonly workers: Map<number, WorkerProcess>;
  readonly metrics: {
    readonly store: MetricsStore;
    received(worker: WorkerProcess, message: ReportMessage): void;
    gone(worker: WorkerProcess): void;
    refresh(): Promise<void>;
    metrics(accept: string | undefined): Promise<{ contentType: string; text: string }>;
  };
  /** Passes messages between workers on. */
  readonly relay: Relay;
  readonly history: ExitHistory;
  readonly native: LoadedNative;
  /** The loop handles it; a failure is logged as `what`. */
  readonly enqueue: (what: string, handle: () => void) => void;
  /** Logs the error; HaltServer stops the server. */
  readonly failed: (what: string, error: unknown) => void;
}
