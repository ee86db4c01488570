/** A worker's process: memory, CPU time, garbage collections, and its event loop's lag and utilisation. */
import type { ProcessStats, WorkerReport } from '../../messages.ts';
import { bucketOf, GC_BUCKETS, LAG_QUANTILES } from '../../observe/metrics/table.ts';
import { processMemory } from '../../platform/process-memory.ts';

// Not imported: the facade reads every export of the module (docs/decisions/0002-memory.md).
const { constants, monitorEventLoopDelay, PerformanceObserver } = process.getBuiltinModule('node:perf_hooks');

/** Sampling interval of the loop's delay. A sample costs some microseconds, also in an idle worker. */
const SAMPLE_MS = 20;
const NS_PER_S = 1e9;
const US_PER_S = 1e6;

/** Lag and utilisation are of a window: too short to measure below this, and two scrapers would share its samples. */
const SHORTEST_WINDOW_MS = 5_000;
const LONGEST_WINDOW_MS = 15_000;

/** The labels of prom-client's nodejs_gc_duration_seconds. */
const GC_KINDS = new Map([
  [constants.NODE_PERFORMANCE_GC_MAJOR, 'major'],
  [constants.NODE_PERFORMANCE_GC_MINOR, 'minor'],
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL, 'incremental'],
  [constants.NODE_PERFORMANCE_GC_WEAKCB, 'weakcb'],
]);

/** `duration` in milliseconds. */
type GcEntry = { readonly duration: number; readonly detail: { readonly kind: number } };

export class ProcessMonitor {
  readonly #delay = monitorEventLoopDelay({ resolution: SAMPLE_MS });
  readonly #gc = new Map<string, { readonly buckets: number[]; seconds: number }>();
  readonly #observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries() as unknown as readonly GcEntry[]) this.#collected(entry);
  });
  #rss = 0;
  #cpu = { user: 0, system: 0 };
  #windowFrom = performance.now();
  #loop = performance.eventLoopUtilization();

  constructor() {
    this.#delay.enable();
    this.#observer.observe({ type: 'gc' });
  }

  /** CPU time and collections since the last call, the rest as it is now. `asked`: for a scrape, not a heartbeat. */
  take(asked: boolean): Pick<WorkerReport, keyof ProcessStats | 'cpu' | 'gc'> {
    const { rss, heapUsed, heapTotal, external } = this.#readMemory();
    const before = this.#cpu;
    this.#cpu = process.cpuUsage();
    const { user, system } = this.#cpu;
    const stats = {
      rssBytes: rss,
      heapUsedBytes: heapUsed,
      heapTotalBytes: heapTotal,
      externalBytes: external,
      lag: LAG_QUANTILES.map((quantile) => this.#lag(quantile)),
      utilization: performance.eventLoopUtilization(this.#loop).utilization || 0, // NaN over no time at all
      cpu: { user: (user - before.user) / US_PER_S, system: (system - before.system) / US_PER_S },
      gc: Object.fromEntries(this.#gc),
    };
    this.#gc.clear();
    if (performance.now() - this.#windowFrom >= (asked ? SHORTEST_WINDOW_MS : LONGEST_WINDOW_MS)) {
      this.#windowFrom = performance.now();
      this.#loop = performance.eventLoopUtilization();
      this.#delay.reset();
    }
    return stats;
  }

  get rssBytes(): number {
    return this.#readMemory().rss;
  }

  dispose(): void {
    this.#delay.disable();
    this.#observer.disconnect();
  }

  /** In seconds. The histogram has the time from one sample to the next. */
  #lag(quantile: number): number {
    const ns = this.#delay.count === 0 ? 0 : this.#delay.percentile(quantile * 100);
    return Math.max(0, ns / NS_PER_S - SAMPLE_MS / 1000);
  }

  #readMemory(): ReturnType<typeof processMemory> {
    const memory = processMemory(this.#rss);
    this.#rss = memory.rss;
    return memory;
  }

  #collected({ duration, detail }: GcEntry): void {
    const kind = GC_KINDS.get(detail.kind) ?? 'other';
    const seconds = duration / 1000;
    const count = this.#gc.get(kind) ?? { buckets: new Array(GC_BUCKETS.length + 1).fill(0), seconds: 0 };
    this.#gc.set(kind, count);
    const bucket = bucketOf(GC_BUCKETS, seconds);
    count.buckets[bucket] = (count.buckets[bucket] ?? 0) + 1;
    count.seconds += seconds;
  }
}
