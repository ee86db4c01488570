/** The arbiter's books: what workers reported, kept beyond their end, and how that becomes metrics. */
import type { WorkerReport } from '../messages.ts';
import { Metrics } from '../observe/metrics.ts';
import { version } from '../version.ts';
import type { RestartReason } from './decisions.ts';
import type { Pool } from './pool.ts';

/** States as `tsunicorn_workers` has them; a worker that waits for its replacement is still ready. */
const STATE = { booting: 'booting', ready: 'ready', leaving: 'ready', draining: 'draining' } as const;

type Present = Pick<WorkerReport, 'inFlight' | 'connections'>;

export class Ledger {
  readonly #metrics = new Metrics();
  /** By slot. While a worker takes over from another the later report stands. */
  readonly #present = new Map<number, Present>();

  constructor() {
    this.#metrics.set('tsunicorn_build_info', { version: version(), node: process.version }, 1);
  }

  add(slot: number, { requests, rejected, droppedLogLines, inFlight, connections }: WorkerReport): void {
    for (const [key, count] of Object.entries(requests)) {
      const [method = '', code = ''] = key.split(' ');
      this.#metrics.add('tsunicorn_http_requests_total', { method, code }, count);
    }
    for (const [reason, count] of Object.entries(rejected)) {
      this.#metrics.add('tsunicorn_http_requests_rejected_total', { reason }, count);
    }
    this.#metrics.add('tsunicorn_log_lines_dropped_total', {}, droppedLogLines);
    this.#present.set(slot, { inFlight, connections });
  }

  /** A worker of `slot` ended; what it had open is gone unless another works there. */
  gone(slot: number, others: Iterable<{ readonly slot: number }>): void {
    if (![...others].some((w) => w.slot === slot)) this.#present.delete(slot);
  }

  restarted(reason: RestartReason): void {
    this.#metrics.add('tsunicorn_worker_restarts_total', { reason });
  }

  orphanReaped(): void {
    this.#metrics.add('tsunicorn_orphans_reaped_total', {});
  }

  latest(slot: number): Present | undefined {
    return this.#present.get(slot);
  }

  inFlight(slot: number): number {
    return this.#present.get(slot)?.inFlight ?? 0;
  }

  async scrape(pool: Pool): Promise<{ contentType: string; text: string }> {
    const states = { desired: pool.target, booting: 0, ready: 0, draining: 0 };
    for (const { state } of pool.workers) states[STATE[state]]++;
    for (const [state, count] of Object.entries(states)) this.#metrics.set('tsunicorn_workers', { state }, count);
    this.#metrics.set('tsunicorn_draining', {}, pool.stopping ? 1 : 0);
    this.#metrics.reset('tsunicorn_http_requests_in_flight');
    this.#metrics.reset('tsunicorn_connections');
    for (const [worker, { inFlight, connections }] of this.#present) {
      this.#metrics.set('tsunicorn_http_requests_in_flight', { worker }, inFlight);
      this.#metrics.set('tsunicorn_connections', { worker }, connections);
    }
    return { contentType: this.#metrics.contentType, text: await this.#metrics.text() };
  }
}
