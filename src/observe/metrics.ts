/** Every metric that tsunicorn exposes, declared once; prom-client holds and prints them. */
import Counter from 'prom-client/lib/counter.js';
import Gauge from 'prom-client/lib/gauge.js';
import Registry from 'prom-client/lib/registry.js';

interface Metric {
  readonly type: 'counter' | 'gauge';
  readonly help: string;
  readonly labels: readonly string[];
}

export const METRICS = {
  tsunicorn_build_info: { type: 'gauge', help: 'Versions, always 1.', labels: ['version', 'node'] },
  tsunicorn_workers: { type: 'gauge', help: 'Workers by state.', labels: ['state'] },
  tsunicorn_worker_restarts_total: { type: 'counter', help: 'Workers replaced, by reason.', labels: ['reason'] },
  tsunicorn_http_requests_total: { type: 'counter', help: 'Answered requests.', labels: ['method', 'code'] },
  tsunicorn_http_requests_in_flight: { type: 'gauge', help: 'Requests not answered yet.', labels: ['worker'] },
  tsunicorn_http_requests_rejected_total: {
    type: 'counter',
    help: 'Requests that tsunicorn turned away itself, by reason.',
    labels: ['reason'],
  },
  tsunicorn_connections: { type: 'gauge', help: 'Open connections.', labels: ['worker'] },
  tsunicorn_orphans_reaped_total: {
    type: 'counter',
    help: 'Processes reaped that the app left behind: PID 1 and child subreapers only.',
    labels: [],
  },
  tsunicorn_draining: { type: 'gauge', help: '1 from SIGTERM to the end.', labels: [] },
  tsunicorn_log_lines_dropped_total: {
    type: 'counter',
    help: 'Log lines dropped because their reader had stopped.',
    labels: [],
  },
} as const satisfies Record<string, Metric>;

export type MetricName = keyof typeof METRICS;

export class Metrics {
  readonly #registry = new Registry();
  readonly #metrics = new Map<string, Counter | Gauge>();

  constructor() {
    for (const [name, { type, help, labels }] of Object.entries(METRICS)) {
      const options = { name, help, labelNames: [...labels], registers: [this.#registry] };
      this.#metrics.set(name, type === 'counter' ? new Counter(options) : new Gauge(options));
    }
  }

  add(name: MetricName, labels: Record<string, string>, by = 1): void {
    this.#metrics.get(name)?.inc(labels, by);
  }

  set(name: MetricName, labels: Record<string, string | number>, value: number): void {
    (this.#metrics.get(name) as Gauge).set(labels, value);
  }

  /** Forgets all series of a gauge, before the present ones are set. */
  reset(name: MetricName): void {
    this.#metrics.get(name)?.reset();
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  async text(): Promise<string> {
    return await this.#registry.metrics();
  }
}
