/**
 * THE table of metrics: each once, with its type, help, labels, and how the values of several workers become one.
 * What /metrics says and docs/metrics.md derive from it.
 */
import { GC_BUCKETS, REQUEST_BUCKETS } from './buckets.ts';
import type { Labels } from './sample.ts';

/** As docs/metrics.md has it. */
export const OVER = {
  workers: {
    title: 'All workers together',
    text: 'Added up over all workers; what a worker counted stays when it ends.',
  },
  slot: {
    title: 'By slot',
    text: 'Counters go on where the worker before stopped. Gauges are added up while one worker takes over from another.',
  },
  newest: { title: 'The newest worker of a slot', text: 'The one that serves, or takes over, in each slot.' },
  server: { title: 'The server', text: 'Known by the arbiter.' },
  kernel: {
    title: 'The kernel',
    text: 'Read at each scrape, in the namespaces of the arbiter. What the kernel does not tell is left out.',
  },
} as const;

export interface Metric {
  readonly type: 'counter' | 'gauge' | 'histogram' | 'summary';
  readonly help: string;
  readonly labels: readonly string[];
  readonly over: keyof typeof OVER;
  /** Values of the only label that are known before anything is counted: their series begin at 0, as rate() needs. */
  readonly known?: readonly string[];
  /** Upper bounds, of a histogram. */
  readonly bounds?: readonly number[];
}

export const METRICS = {
  tsunicorn_build_info: {
    type: 'gauge',
    help: 'Versions, always 1.',
    labels: ['version', 'node'],
    over: 'server',
  },
  tsunicorn_workers: { type: 'gauge', help: 'Workers by state.', labels: ['state'], over: 'server' },
  tsunicorn_worker_restarts_total: {
    type: 'counter',
    help: 'Workers replaced, by reason.',
    labels: ['reason'],
    over: 'server',
    known: ['crash', 'stall', 'boot', 'oom', 'max_requests', 'rss', 'lifetime', 'reload', 'resize'],
  },
  tsunicorn_http_requests_total: {
    type: 'counter',
    help: 'Answered requests. Code 499: the client left before the response began; methods and codes that are not registered are "other".',
    labels: ['method', 'code'],
    over: 'workers',
  },
  tsunicorn_http_request_duration_seconds: {
    type: 'histogram',
    help: 'From the header of a request to the end of its response.',
    labels: ['method'],
    over: 'workers',
    bounds: REQUEST_BUCKETS,
  },
  tsunicorn_http_response_bytes_total: {
    type: 'counter',
    help: 'Bytes of responses, heads and bodies.',
    labels: [],
    over: 'workers',
  },
  tsunicorn_http_requests_in_flight: {
    type: 'gauge',
    help: 'Requests not answered yet.',
    labels: ['worker'],
    over: 'slot',
  },
  tsunicorn_connections: { type: 'gauge', help: 'Open connections.', labels: ['worker'], over: 'slot' },
  tsunicorn_http_requests_rejected_total: {
    type: 'counter',
    help: 'Requests that tsunicorn turned away itself, by reason.',
    labels: ['reason'],
    over: 'workers',
    known: ['uri_too_long', 'too_many_fields', 'body_too_large', 'timeout', 'malformed', 'overload', 'no_websocket'],
  },
  tsunicorn_event_loop_lag_seconds: {
    type: 'summary',
    help: 'Delay of the event loop since the scrape before, over 5 to 15 s; quantile 1 is the longest.',
    labels: ['worker', 'quantile'],
    over: 'newest',
  },
  tsunicorn_event_loop_utilization: {
    type: 'gauge',
    help: 'Share of the time in which the event loop was busy, 0 to 1, over the same time as the lag.',
    labels: ['worker'],
    over: 'newest',
  },
  tsunicorn_worker_resident_memory_bytes: {
    type: 'gauge',
    help: 'Resident memory.',
    labels: ['worker'],
    over: 'slot',
  },
  tsunicorn_worker_heap_used_bytes: {
    type: 'gauge',
    help: 'V8 heap in use.',
    labels: ['worker'],
    over: 'slot',
  },
  tsunicorn_worker_cpu_seconds_total: {
    type: 'counter',
    help: 'CPU time, user and system.',
    labels: ['worker'],
    over: 'slot',
  },
  tsunicorn_worker_age_seconds: { type: 'gauge', help: 'Time since its start.', labels: ['worker'], over: 'newest' },
  tsunicorn_accept_queue_length: {
    type: 'gauge',
    help: 'Connections that the kernel holds and nobody has accepted yet, by address and slot.',
    labels: ['listener'],
    over: 'kernel',
  },
  tsunicorn_cgroup_cpu_quota_cores: {
    type: 'gauge',
    help: 'The tightest CPU quota from the own group to the root.',
    labels: [],
    over: 'kernel',
  },
  tsunicorn_cgroup_cpu_periods_total: {
    type: 'counter',
    help: 'Enforcement periods of the group with the quota in which it ran.',
    labels: [],
    over: 'kernel',
  },
  tsunicorn_cgroup_cpu_throttled_periods_total: {
    type: 'counter',
    help: 'Periods in which the quota was used up.',
    labels: [],
    over: 'kernel',
  },
  tsunicorn_cgroup_cpu_throttled_seconds_total: {
    type: 'counter',
    help: 'Time for which threads were held back by the quota.',
    labels: [],
    over: 'kernel',
  },
  tsunicorn_cgroup_memory_limit_bytes: {
    type: 'gauge',
    help: 'The tightest memory limit from the own group to the root.',
    labels: [],
    over: 'kernel',
  },
  tsunicorn_cgroup_memory_usage_bytes: {
    type: 'gauge',
    help: 'Memory charged to the group with the limit, page cache too.',
    labels: [],
    over: 'kernel',
  },
  tsunicorn_cgroup_memory_working_set_bytes: {
    type: 'gauge',
    help: 'The same without page cache that has not been used for a while, as Kubernetes reckons.',
    labels: [],
    over: 'kernel',
  },
  tsunicorn_cgroup_oom_kills_total: {
    type: 'counter',
    help: 'Processes of the group with the limit that the kernel killed for want of memory.',
    labels: [],
    over: 'kernel',
  },
  tsunicorn_cgroup_pressure_waiting_seconds_total: {
    type: 'counter',
    help: 'Time in which some task of the own group waited for cpu, memory or io (PSI, cgroup v2).',
    labels: ['resource'],
    over: 'kernel',
  },
  tsunicorn_orphans_reaped_total: {
    type: 'counter',
    help: 'Processes reaped that the app left behind: PID 1 and child subreapers only.',
    labels: [],
    over: 'server',
  },
  tsunicorn_draining: { type: 'gauge', help: '1 from SIGTERM to the end.', labels: [], over: 'server' },
  tsunicorn_log_lines_dropped_total: {
    type: 'counter',
    help: 'Log lines lost: their reader had stopped, or they could not be written.',
    labels: [],
    over: 'workers',
  },
  process_cpu_user_seconds_total: {
    type: 'counter',
    help: 'CPU time in user mode.',
    labels: ['worker'],
    over: 'slot',
  },
  process_cpu_system_seconds_total: {
    type: 'counter',
    help: 'CPU time in the kernel.',
    labels: ['worker'],
    over: 'slot',
  },
  process_resident_memory_bytes: { type: 'gauge', help: 'Resident memory.', labels: ['worker'], over: 'slot' },
  process_start_time_seconds: {
    type: 'gauge',
    help: 'Start, in seconds since 1970.',
    labels: ['worker'],
    over: 'newest',
  },
  nodejs_heap_size_used_bytes: { type: 'gauge', help: 'V8 heap in use.', labels: ['worker'], over: 'slot' },
  nodejs_heap_size_total_bytes: { type: 'gauge', help: 'V8 heap reserved.', labels: ['worker'], over: 'slot' },
  nodejs_external_memory_bytes: {
    type: 'gauge',
    help: 'Memory outside of the V8 heap that its objects hold.',
    labels: ['worker'],
    over: 'slot',
  },
  nodejs_gc_duration_seconds: {
    type: 'histogram',
    help: 'Garbage collections by kind: minor, major, incremental, weakcb.',
    labels: ['worker', 'kind'],
    over: 'slot',
    bounds: GC_BUCKETS,
  },
} as const satisfies Record<string, Metric>;

export type MetricName = keyof typeof METRICS;

/** The `worker` label of the arbiter's own process in `process_` and `nodejs_` metrics. */
export const ARBITER = 'arbiter';

/** The labels whose series begin at 0: those that are known, and of a metric without labels the only one. */
export function knownLabels({ labels, known, over, type }: Metric): Labels[] {
  if (over === 'kernel' || type !== 'counter') return [];
  const [label] = labels;
  if (label === undefined) return [{}];
  return (known ?? []).map((value) => ({ [label]: value }));
}
