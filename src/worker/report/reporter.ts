/** Reports to the arbiter: a heartbeat a second, a report when asked, and a last one at the end. */
import type { Settings } from '../../config/settings.ts';
import type { WorkerReport } from '../../messages.ts';
import type { Channel } from '../channel.ts';
import type { Connections } from '../http/connections.ts';
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
  readonly connections: Connections;
  takeDropped(): number;
}

export class Reporter {
  readonly #sources: ReporterSources;
  readonly #channel: Channel;
  #timer: NodeJS.Timeout | undefined;
  #sentBytes = 0;
  #saidLongPolls = false;

  constructor(sources: ReporterSources, channel: Channel) {
    this.#sources = sources;
    this.#channel = channel;
  }

  start({ timeout, workerClass }: Settings): void {
    const interval = timeout === 0 ? HEARTBEAT_MS : Math.min(HEARTBEAT_MS, (timeout * 1000) / HEARTBEATS_PER_TIMEOUT);
    this.#timer = setInterval(() => {
      // For class sync the timeout covers the request.
      if (workerClass !== 'sync' || this.#sources.connections.inFlight === 0) this.heartbeat();
    }, interval);
    this.answer(0);
  }

  /** From now on heartbeats do not keep the process alive. */
  unref(): void {
    this.#timer?.unref();
  }

  /** Everything as it is now, under the arbiter's serial number. */
  answer(serial: number): void {
    const appMetrics = this.#appMetrics();
    const more = appMetrics !== undefined;
    this.#channel.send({ type: 'report', serial, report: this.#report(serial > 0), more });
    // Also if nothing changed, since the arbiter waits for it.
    void appMetrics?.read().then((report) => this.#channel.send({ type: 'app-report', serial, report }));
  }

  /** With the counts since the last report. */
  heartbeat(): void {
    if (!this.#saidLongPolls && this.#sources.connections.hadLongPolls()) {
      this.#saidLongPolls = true;
      this.#channel.send({ type: 'has-long-polls' });
    }
    this.#channel.send({ type: 'heartbeat', report: this.#report(false) });
    void this.#appMetrics()
      ?.readCounts()
      .then((report) => report && this.#channel.send({ type: 'app-report', serial: 0, report }));
  }

  /** The last report, when nothing more will be counted. */
  async end(): Promise<void> {
    clearInterval(this.#timer);
    const report = await this.#appMetrics()?.read();
    if (report) await this.#channel.sendLast({ type: 'app-report', serial: 0, report });
    await this.#channel.sendLast({ type: 'heartbeat', report: this.#report(false) });
    this.#sources.processMonitor.dispose();
  }

  #appMetrics(): AppMetrics | undefined {
    const { appMetrics } = this.#sources;
    return appMetrics?.found ? appMetrics : undefined;
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
