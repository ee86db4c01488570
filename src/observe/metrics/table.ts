/**
 * THE table of metrics: each once, with its type, scope, help and labels. /metrics and docs/metrics.md derive from it.
 * Imports next to nothing: workers load the buckets from here.
 */

import { type Labels, REFUSALS } from '../../messages.ts';

/** From an answer out of memory to one that any proxy has given up on (nginx's `proxy_read_timeout` is 60 s). Seconds. */
export const REQUEST_BUCKETS: readonly number[] = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
];

/** A scavenge takes about a millisecond; a second is a stall that clients notice. Seconds. */
export const GC_BUCKETS: readonly number[] = [0.001, 0.01, 0.1, 1];

/** Of event loop lag; 1 is the longest. */
export const LAG_QUANTILES: readonly number[] = [0.5, 0.9, 0.99, 1];

/** The index of the bucket for `value`: bounds are inclusive, in the unit of `value`; one more bucket is beyond them all. */
export function bucketOf(bounds: readonly number[], value: number): number {
  let index = 0;
  while (index < bounds.length && value > (bounds[index] ?? 0)) index++;
  return index;
}

/** What one series stands for, and how docs/metrics.md groups the metrics. */
export const SCOPES = {
  workers: {
    title: 'All workers',
    text: 'Summed over all workers. What a worker counted stays after its exit.',
  },
  slot: {
    title: 'Per slot',
    text: "Counters continue from the previous worker's value. Gauges are summed while one worker replaces another.",
  },
  newest: { title: 'Newest worker of a slot', text: 'The worker that serves the slot or is about to.' },
  server: { title: 'Server', text: 'Known to the arbiter.' },
  arbiter: { title: 'Arbiter', text: "The arbiter's own process." },
  kernel: {
    title: 'Kernel',
    text: "Read at each scrape, in the arbiter's namespaces. Absent where the kernel does not provide it.",
  },
} as const;

type Scope = keyof typeof SCOPES;

export interface MetricDefinition {
  readonly type: 'counter' | 'gauge' | 'histogram' | 'summary';
  readonly scope: Scope;
  readonly help: string;
  readonly labels: readonly string[];
  /** All values of a counter's only label, where they are known: these series start at 0, as rate() needs. */
  readonly known: readonly string[];
  readonly bounds?: readonly number[];
}

const metric =
  (type: MetricDefinition['type']) =>
  (scope: Scope, help: string, labels: readonly string[] = [], known: readonly string[] = []): MetricDefinition => ({
    type,
    scope,
    help,
    labels,
    known,
  });
const counter = metric('counter');
const gauge = metric('gauge');
const summary = metric('summary');
const histogram = (scope: Scope, help: string, labels: readonly string[], bounds: readonly number[]) => ({
  ...metric('histogram')(scope, help, labels),
  bounds,
});

export const FAILURES = ['crash', 'stall', 'boot', 'oom'] as const;

export const RESTART_REASONS = [...FAILURES, 'max_requests', 'rss', 'lifetime', 'reload', 'resize'] as const;

export const METRICS = {
  tsunicorn_build_info: gauge('server', 'Versions; always 1.', ['version', 'node']),
  tsunicorn_workers: gauge('server', 'Workers by state.', ['state']),
  tsunicorn_leader: gauge('slot', '1 if a worker of the slot leads, if any calls `onLeader()`.', ['worker']),
  tsunicorn_worker_restarts_total: counter('server', 'Workers replaced, by reason.', ['reason'], RESTART_REASONS),
  tsunicorn_http_requests_total: counter(
    'workers',
    'Answered requests. Code 499: the client left before the response began. Unregistered methods and codes are "other".',
    ['method', 'code'],
  ),
  tsunicorn_http_request_duration_seconds: histogram(
    'workers',
    'From the request header to the end of the response.',
    ['method'],
    REQUEST_BUCKETS,
  ),
  tsunicorn_http_response_bytes_total: counter('workers', 'Response bytes, headers and bodies.'),
  tsunicorn_http_requests_in_flight: gauge('slot', 'Requests not yet answered.', ['worker']),
  tsunicorn_connections: gauge('slot', 'Open connections.', ['worker']),
  tsunicorn_http_requests_rejected_total: counter(
    'workers',
    'Requests that tsunicorn itself rejected, by reason.',
    ['reason'],
    REFUSALS,
  ),
  tsunicorn_event_loop_lag_seconds: summary(
    'newest',
    'Event loop delay since the previous scrape, over 5 to 15 s; quantile 1 is the longest.',
    ['worker', 'quantile'],
  ),
  tsunicorn_event_loop_utilization: gauge(
    'newest',
    'Share of time the event loop was busy, 0 to 1, over the same window as the lag.',
    ['worker'],
  ),
  tsunicorn_worker_resident_memory_bytes: gauge('slot', 'Resident memory.', ['worker']),
  tsunicorn_worker_heap_used_bytes: gauge('slot', 'V8 heap in use.', ['worker']),
  tsunicorn_worker_heap_total_bytes: gauge('slot', 'V8 heap reserved.', ['worker']),
  tsunicorn_worker_external_memory_bytes: gauge('slot', 'Memory that V8 objects hold outside the heap.', ['worker']),
  tsunicorn_worker_gc_duration_seconds: histogram(
    'slot',
    'Garbage collections by kind: minor, major, incremental, weakcb.',
    ['worker', 'kind'],
    GC_BUCKETS,
  ),
  tsunicorn_worker_cpu_seconds_total: counter('slot', 'CPU time, user and system.', ['worker']),
  tsunicorn_worker_age_seconds: gauge('newest', 'Time since the worker started.', ['worker']),
  tsunicorn_arbiter_cpu_seconds_total: counter('arbiter', 'CPU time, user and system.'),
  tsunicorn_arbiter_resident_memory_bytes: gauge('arbiter', 'Resident memory.'),
  tsunicorn_arbiter_heap_used_bytes: gauge('arbiter', 'V8 heap in use.'),
  tsunicorn_accept_queue_length: gauge('kernel', 'Connections waiting to be accepted, by address and slot.', [
    'listener',
  ]),
  tsunicorn_cgroup_cpu_quota_cores: gauge('kernel', 'The tightest CPU quota from the own cgroup to the root.'),
  tsunicorn_cgroup_cpu_periods_total: counter('kernel', 'CPU periods in which the cgroup with the quota ran.'),
  tsunicorn_cgroup_cpu_throttled_periods_total: counter('kernel', 'Periods in which the quota was used up.'),
  tsunicorn_cgroup_cpu_throttled_seconds_total: counter('kernel', 'Time that threads were throttled by the quota.'),
  tsunicorn_cgroup_memory_limit_bytes: gauge('kernel', 'The tightest memory limit from the own cgroup to the root.'),
  tsunicorn_cgroup_memory_usage_bytes: gauge('kernel', 'Memory of the cgroup with the limit, including page cache.'),
  tsunicorn_cgroup_memory_working_set_bytes: gauge('kernel', 'The same without inactive page cache, as in Kubernetes.'),
  tsunicorn_cgroup_oom_kills_total: counter(
    'kernel',
    'Processes that the OOM killer ended in the cgroup with the limit.',
  ),
  tsunicorn_cgroup_pressure_waiting_seconds_total: counter(
    'kernel',
    'Time that some task of the own cgroup waited for cpu, memory or io (PSI, cgroup v2).',
    ['resource'],
  ),
  tsunicorn_orphans_reaped_total: counter(
    'server',
    'Orphaned processes reaped: only as PID 1 or as a child subreaper.',
  ),
  tsunicorn_draining: gauge('server', '1 from SIGTERM to the exit.'),
  tsunicorn_log_lines_dropped_total: counter(
    'workers',
    'Log lines lost because their reader had stopped or the write failed.',
  ),
} as const satisfies Record<string, MetricDefinition>;

export type MetricName = keyof typeof METRICS;

/** The series of a metric that start at 0, by their labels. Of the arbiter's process and the kernel each scrape has the value. */
export function initialSeries({ labels, known, scope, type }: MetricDefinition): Labels[] {
  if (type !== 'counter' || scope === 'arbiter' || scope === 'kernel') return [];
  const [label] = labels;
  return label === undefined ? [{}] : known.map((value) => ({ [label]: value }));
}
