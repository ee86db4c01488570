/** What workers reported. A worker's counts outlive it, its gauges do not. */
import type { AppReport, Durations, Labels, ProcessStats, WorkerReport } from '../../messages.ts';
import { Totals } from '../../observe/metrics/aggregate.ts';
import { AppSeries } from '../../observe/metrics/app-series.ts';
import { GC_BUCKETS, initialSeries, METRICS, type MetricName, REQUEST_BUCKETS } from '../../observe/metrics/table.ts';
import type { RestartReason } from '../pool/decisions.ts';
import type { WorkerView } from '../pool/worker.ts';

export type WorkerGauges = ProcessStats & Pick<WorkerReport, 'inFlight' | 'connections' | 'served'>;

export type WorkerKey = Pick<WorkerView, 'slot' | 'workerId'>;

export class MetricsStore {
  readonly totals = new Totals();
  readonly app: AppSeries;
  readonly #gauges = new Map<number, WorkerGauges>();

  /** `clash` is called with the name of an app's metric that is left out, since tsunicorn has one by that name. */
  constructor(clash: (name: string) => void) {
    this.app = new AppSeries((name) => Object.hasOwn(METRICS, name), clash);
    for (const [name, metric] of Object.entries(METRICS)) {
      for (const labels of initialSeries(metric)) this.totals.add(name, labels, 0);
    }
  }

  add({ slot, workerId }: WorkerKey, report: WorkerReport): void {
    const { requests, rejected, sentBytes, droppedLogLines, cpu, gc, ...gauges } = report;
    for (const [method, { codes, ...durations }] of Object.entries(requests)) {
      for (const [code, count] of Object.entries(codes)) {
        this.#add('tsunicorn_http_requests_total', { method, code }, count);
      }
      this.#observe('tsunicorn_http_request_duration_seconds', { method }, REQUEST_BUCKETS, durations);
    }
    for (const [reason, count] of Object.entries(rejected)) {
      this.#add('tsunicorn_http_requests_rejected_total', { reason }, count);
    }
    this.#add('tsunicorn_http_response_bytes_total', {}, sentBytes);
    this.#add('tsunicorn_log_lines_dropped_total', {}, droppedLogLines);
    this.#add('tsunicorn_worker_cpu_seconds_total', { worker: slot }, cpu.user + cpu.system);
    for (const [kind, durations] of Object.entries(gc)) {
      this.#observe('tsunicorn_worker_gc_duration_seconds', { worker: slot, kind }, GC_BUCKETS, durations);
    }
    this.#gauges.set(workerId, gauges);
  }

  addApp({ workerId }: WorkerKey, report: AppReport): void {
    this.app.add(workerId, report);
  }

  gone({ workerId }: WorkerKey): void {
    this.#gauges.delete(workerId);
    this.app.gone(workerId);
  }

  restarted(reason: RestartReason): void {
    this.#add('tsunicorn_worker_restarts_total', { reason });
  }

  linesDropped(count: number): void {
    this.#add('tsunicorn_log_lines_dropped_total', {}, count);
  }

  orphanReaped(): void {
    this.#add('tsunicorn_orphans_reaped_total', {});
  }

  /** Undefined until a worker has reported. */
  latest(workerId: number): WorkerGauges | undefined {
    return this.#gauges.get(workerId);
  }

  #add(name: MetricName, labels: Labels, by = 1): void {
    this.totals.add(name, labels, by);
  }

  #observe(name: MetricName, labels: Labels, bounds: readonly number[], durations: Durations): void {
    this.totals.observe(name, labels, bounds, durations);
  }
}
