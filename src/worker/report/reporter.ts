/** What a worker tells the arbiter: a beat a second, a report whenever it is asked, and a last one at its end. */
import type { FromWorker, WorkerReport } from '../../messages.ts';
import type { AppMetrics } from './app-metrics.ts';
import type { Counters } from './counters.ts';
import type { Vitals } from './process-stats.ts';

/** A report a second, and at least three within the timeout after which silence counts as a stall. */
const BEAT_MS = 1_000;
const BEATS_PER_TIMEOUT = 3;

export interface Sources {
  readonly tally: Counters;
  readonly vitals: Vitals;
  /** Undefined where the app's metrics are not wanted. */
  readonly appMetrics: AppMetrics | undefined;
  readonly connections: { readonly inFlight: number; readonly size: number; readonly sentBytes: number };
  /** Log lines dropped since the last call. */
  takeDropped(): number;
}

export interface Sink {
  send(message: FromWorker): void;
  /** Resolves when the message is with the kernel. */
  sendLast(message: FromWorker): Promise<void>;
}

export interface Rhythm {
  /** Seconds, 0 is off. */
  readonly timeout: number;
  /** Worker class sync: the timeout covers the request, so a worker that has one in hand does not beat. */
  readonly silentWhileBusy: boolean;
}

export class Reporter {
  readonly #sources: Sources;
  readonly #sink: Sink;
  readonly #rhythm: Rhythm;
  #timer: NodeJS.Timeout | undefined;
  #sentBytes = 0;

  constructor(sources: Sources, sink: Sink, rhythm: Rhythm) {
    this.#sources = sources;
    this.#sink = sink;
    this.#rhythm = rhythm;
  }

  start(): void {
    const { timeout } = this.#rhythm;
    const interval = timeout === 0 ? BEAT_MS : Math.min(BEAT_MS, (timeout * 1000) / BEATS_PER_TIMEOUT);
    this.#timer = setInterval(() => {
      if (!this.#rhythm.silentWhileBusy || this.#sources.connections.inFlight === 0) this.beat();
    }, interval);
    this.answer(0);
  }

  /** Everything as it is now, with the arbiter's number for it. */
  answer(serial: number): void {
    const { appMetrics } = this.#sources;
    const more = appMetrics?.found ?? false;
    this.#sink.send({ type: 'report', serial, report: this.#report(serial > 0), more });
    if (more) void this.#answerForApp(serial);
  }

  /** The last report, when nothing more will be counted. */
  async end(): Promise<void> {
    clearInterval(this.#timer);
    const { appMetrics, vitals } = this.#sources;
    if (appMetrics?.found) {
      const report = await appMetrics.read();
      if (report) await this.#sink.sendLast({ type: 'app-report', serial: 0, report });
    }
    await this.#sink.sendLast({ type: 'heartbeat', report: this.#report(false) });
    vitals.dispose();
  }

  /** From now on its beats do not keep the process alive. */
  unref(): void {
    this.#timer?.unref();
  }

  /** A sign of life, with what was counted since the last one. */
  beat(): void {
    const { appMetrics } = this.#sources;
    this.#sink.send({ type: 'heartbeat', report: this.#report(false) });
    if (appMetrics?.found) void this.#beatForApp(appMetrics);
  }

  async #beatForApp(appMetrics: AppMetrics): Promise<void> {
    const report = await appMetrics.readCounts();
    if (report) this.#sink.send({ type: 'app-report', serial: 0, report });
  }

  /** Also where nothing changed, since the arbiter waits for it. */
  async #answerForApp(serial: number): Promise<void> {
    const report = await this.#sources.appMetrics?.read();
    this.#sink.send({ type: 'app-report', serial, report: report ?? { families: [], series: [], values: [] } });
  }

  #report(asked: boolean): WorkerReport {
    const { tally, vitals, connections, takeDropped } = this.#sources;
    const sentBefore = this.#sentBytes;
    this.#sentBytes = connections.sentBytes;
    return {
      ...tally.take(),
      ...vitals.take(asked),
      sentBytes: Math.max(0, this.#sentBytes - sentBefore),
      droppedLogLines: takeDropped(),
      served: tally.served,
      inFlight: connections.inFlight,
      connections: connections.size,
    };
  }
}
