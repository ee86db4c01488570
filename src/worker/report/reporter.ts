/** Reports to the arbiter: a heartbeat a second, a report when asked, and a last one at the end. */
import type { WorkerReport } from '../../messages.ts';
import type { Channel } from '../channel.ts';
import type { AppMetrics } from './app-metrics.ts';
import type { Counters } from './counters.ts';
import type { ProcessMonitor } from './process-stats.ts';

/** One a second, and at least three within TSUNICORN_TIMEOUT, after which silence counts as a stall. */
const HEARTBEAT_MS = 1_000;
const HEARTBEATS_PER_TIMEOUT = 3;

export interface ReporterSources {
  readonly counters: Counters;
  readonly processMonitor: ProcessMonitor;
  /** Undefined with TSUNICORN_APP_METRICS=false. */
  readonly appMetrics: AppMetrics | undefined;
  readonly connections: { readonly inFlight: number; readonly size: number; readonly sentBytes: number };
  /** Log lines dropped since the last call. */
  takeDropped(): number;
}

interface Rhythm {
  /** Seconds, 0 is off. */
  readonly timeout: number;
  /** Worker class sync: the timeout covers the request, so a worker with one in flight sends no heartbeat. */
  readonly silentWhileBusy: boolean;
}

export class Reporter {
  readonly #sources: ReporterSources;
  readonly #channel: Channel;
  readonly #rhythm: Rhythm;
  #timer: NodeJS.Timeout | undefined;
  #sentBytes = 0;

  constructor(sources: ReporterSources, channel: Channel, rhythm: Rhythm) {
    this.#sources = sources;
    this.#channel = channel;
    this.#rhythm = rhythm;
  }

  start(): void {
    const { timeout } = this.#rhythm;
    const interval = timeout === 0 ? HEARTBEAT_MS : Math.min(HEARTBEAT_MS, (timeout * 1000) / HEARTBEATS_PER_TIMEOUT);
    this.#timer = setInterval(() => {
      if (!this.#rhythm.silentWhileBusy || this.#sources.connections.inFlight === 0) this.beat();
    }, interval);
    this.answer(0);
  }

  /** Everything as it is now, under the arbiter's serial number. */
  answer(serial: number): void {
    const { appMetrics } = this.#sources;
    const more = appMetrics?.found ?? false;
    this.#channel.send({ type: 'report', serial, report: this.#report(serial > 0), more });
    if (more) void this.#answerForApp(serial);
  }

  /** The last report, when nothing more will be counted. */
  async end(): Promise<void> {
    clearInterval(this.#timer);
    const { appMetrics, processMonitor } = this.#sources;
    const report = appMetrics?.found && (await appMetrics.read());
    if (report) await this.#channel.sendLast({ type: 'app-report', serial: 0, report });
    await this.#channel.sendLast({ type: 'heartbeat', report: this.#report(false) });
    processMonitor.dispose();
  }

  /** From now on heartbeats do not keep the process alive. */
  unref(): void {
    this.#timer?.unref();
  }

  /** A heartbeat, with the counts since the last report. */
  beat(): void {
    const { appMetrics } = this.#sources;
    this.#channel.send({ type: 'heartbeat', report: this.#report(false) });
    if (appMetrics?.found) void this.#reportAppCounts(appMetrics);
  }

  async #reportAppCounts(appMetrics: AppMetrics): Promise<void> {
    const report = await appMetrics.readCounts();
    if (report) this.#channel.send({ type: 'app-report', serial: 0, report });
  }

  /** Also if nothing changed, since the arbiter waits for it. */
  async #answerForApp(serial: number): Promise<void> {
    const report = await this.#sources.appMetrics?.read();
    this.#channel.send({ type: 'app-report', serial, report: report ?? { families: [], series: [], values: [] } });
  }

  #report(asked: boolean): WorkerReport {
    const { counters, processMonitor, connections, takeDropped } = this.#sources;
    const sentBefore = this.#sentBytes;
    this.#sentBytes = connections.sentBytes;
    return {
      ...counters.take(),
      ...processMonitor.take(asked),
      sentBytes: Math.max(0, this.#sentBytes - sentBefore),
      droppedLogLines: takeDropped(),
      served: counters.served,
      inFlight: connections.inFlight,
      connections: connections.size,
    };
  }
}
