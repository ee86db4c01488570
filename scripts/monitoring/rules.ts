/**
 * THE table of recording and alert rules. Prometheus' own file, the PrometheusRule of the operator and
 * docs/monitoring.md derive from it: `npm run docs`.
 */

export interface Recording {
  readonly record: string;
  readonly expr: string;
  readonly means: string;
}

export interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly for: string;
  readonly severity: 'critical' | 'warning';
  /** The fault, for people, without labels. */
  readonly summary: string;
  /** With labels, and the value at the time. */
  readonly found: string;
  readonly todo: string;
}

/** One server. Compose has no namespace and no pod, and the operator's instance is an address that says little. */
const SERVER = 'job, namespace, pod, instance';
/** All servers that share work. */
const SERVICE = 'job, namespace';
const WHERE = '{{ or $labels.pod $labels.instance }}';
const NOT_DRAINING = `on (${SERVER}) tsunicorn_draining == 0`;

export const RECORDINGS: readonly Recording[] = [
  {
    record: 'tsunicorn:http_requests:rate5m',
    expr: `sum by (${SERVER}) (rate(tsunicorn_http_requests_total[5m]))`,
    means: 'Requests a second of each server.',
  },
  {
    record: 'tsunicorn:http_errors:ratio_rate5m',
    expr: `(sum by (${SERVICE}) (rate(tsunicorn_http_requests_total{code=~"5.."}[5m])) or 0 * sum by (${SERVICE}) (rate(tsunicorn_http_requests_total[5m]))) / sum by (${SERVICE}) (rate(tsunicorn_http_requests_total[5m]))`,
    means: 'Share of the answers that are server errors, over all servers.',
  },
  {
    record: 'tsunicorn:http_request_duration_seconds:p99_rate5m',
    expr: `histogram_quantile(0.99, sum by (${SERVICE}, le) (rate(tsunicorn_http_request_duration_seconds_bucket[5m])))`,
    means: 'The time in which 99 % of the requests were answered, over all servers.',
  },
  {
    record: 'tsunicorn:cpu_throttled:ratio_rate5m',
    expr: 'rate(tsunicorn_cgroup_cpu_throttled_periods_total[5m]) / rate(tsunicorn_cgroup_cpu_periods_total[5m])',
    means: 'Share of the periods in which the CPU quota was used up.',
  },
  {
    record: 'tsunicorn:memory_used:ratio',
    expr: 'tsunicorn_cgroup_memory_working_set_bytes / tsunicorn_cgroup_memory_limit_bytes',
    means: 'Share of the memory limit that is in use, without page cache that can go.',
  },
];

export const ALERTS: readonly Alert[] = [
  {
    alert: 'TsunicornNoWorkers',
    expr: `sum by (${SERVER}) (tsunicorn_workers{state="ready"}) == 0 and ${NOT_DRAINING}`,
    for: '1m',
    severity: 'critical',
    summary: 'No worker is ready: nothing is answered',
    found: `${WHERE} has had no ready worker for a minute.`,
    todo: 'Read the last lines of its log, which say why workers do not boot or die. If a new release is to blame, roll it back.',
  },
  {
    alert: 'TsunicornWorkersMissing',
    expr: `tsunicorn_workers{state="ready"} < on (${SERVER}) tsunicorn_workers{state="desired"} and ${NOT_DRAINING}`,
    for: '5m',
    severity: 'warning',
    summary: 'Fewer workers than wanted are ready',
    found: `${WHERE} has had too few ready workers for five minutes; now {{ $value }}.`,
    todo: 'The log says why the others do not boot, or die. Where a boot takes long, raise TSUNICORN_BOOT_TIMEOUT.',
  },
  {
    alert: 'TsunicornCrashLoop',
    expr: `sum by (${SERVER}, reason) (increase(tsunicorn_worker_restarts_total{reason=~"crash|boot|oom"}[15m])) > 3`,
    for: '1m',
    severity: 'critical',
    summary: 'Workers keep dying',
    found: `${WHERE} replaced {{ $value | humanize }} workers within 15 minutes: {{ $labels.reason }}.`,
    todo: 'See /status on the admin port for the last exits with message and stack. For oom raise the memory limit, or TSUNICORN_WORKER_MEMORY for fewer workers.',
  },
  {
    alert: 'TsunicornStalls',
    // increase() extrapolates: one stall may count as a little more than 1.
    expr: `sum by (${SERVER}) (increase(tsunicorn_worker_restarts_total{reason="stall"}[15m])) > 1.5`,
    for: '1m',
    severity: 'warning',
    summary: 'Stalled workers are being killed',
    found: `${WHERE} killed {{ $value | humanize }} stalled workers within 15 minutes.`,
    todo: 'The log has file, line and function in which each was stuck. Move that work off the event loop; raise TSUNICORN_TIMEOUT only if it has to take so long.',
  },
  {
    alert: 'TsunicornThrottled',
    expr: 'tsunicorn:cpu_throttled:ratio_rate5m > 0.25',
    for: '10m',
    severity: 'warning',
    summary: 'The CPU quota holds the workers back',
    found: `${WHERE} used up its CPU quota in {{ $value | humanizePercentage }} of the periods.`,
    todo: 'Raise the CPU limit, or run more servers. If TSUNICORN_WORKERS is set above the quota, leave it out.',
  },
  {
    alert: 'TsunicornMemoryNearLimit',
    expr: 'tsunicorn:memory_used:ratio > 0.9',
    for: '5m',
    severity: 'warning',
    summary: 'Memory is near the limit: the kernel may kill workers soon',
    found: `${WHERE} uses {{ $value | humanizePercentage }} of its memory limit.`,
    todo: 'If the memory of the workers grows with their age, the app leaks: set TSUNICORN_MAX_REQUESTS or TSUNICORN_MAX_WORKER_RSS until that is fixed. Else raise the limit, or TSUNICORN_WORKER_MEMORY for fewer workers.',
  },
  {
    alert: 'TsunicornRecycledForSize',
    expr: `sum by (${SERVER}) (increase(tsunicorn_worker_restarts_total{reason="rss"}[10m])) > 10`,
    for: '5m',
    severity: 'warning',
    summary: 'Workers are replaced for their size more than once a minute',
    found: `${WHERE} replaced {{ $value | humanize }} workers for their size within ten minutes.`,
    todo: 'The app leaks quickly, or has less memory than it needs; where the log says that new requests wait, they do until a worker is replaced. Look for the leak. Else raise the limit, or TSUNICORN_WORKER_MEMORY for fewer workers.',
  },
  {
    alert: 'TsunicornServerErrors',
    expr: 'tsunicorn:http_errors:ratio_rate5m > 0.05',
    for: '5m',
    severity: 'critical',
    summary: 'More than 5 % of the answers are server errors',
    found: '{{ $value | humanizePercentage }} of the answers of {{ $labels.job }} are server errors.',
    todo: "Look for the app's errors in the server log, and for status 5xx in the access log: which path, since when. 503 with rejections of reason overload means too little capacity.",
  },
  {
    alert: 'TsunicornAcceptQueueGrows',
    // Never empty and growing by 3 a minute or more, or so long already that it may be full and grow no more.
    expr: `min_over_time(tsunicorn_accept_queue_length[2m]) > 0 and (deriv(tsunicorn_accept_queue_length[5m]) > 0.05 or (tsunicorn_accept_queue_length >= 100 and deriv(tsunicorn_accept_queue_length[5m]) > -0.05))`,
    for: '2m',
    severity: 'warning',
    summary: 'The accept queue keeps growing',
    found: `For minutes connections have waited at {{ $labels.listener }} of ${WHERE}, at least {{ $value }}.`,
    todo: 'The workers do not keep up. If their event loops are busy, give it more CPU or more servers; if they are idle, see whether TSUNICORN_WORKER_CONNECTIONS, or class sync, holds them back.',
  },
  {
    alert: 'TsunicornRequestsRejected',
    expr: `sum by (${SERVER}, reason) (rate(tsunicorn_http_requests_rejected_total[5m])) > 1`,
    for: '5m',
    severity: 'warning',
    summary: 'Requests are turned away before the app sees them',
    found: `${WHERE} turns away {{ $value | humanize }} requests a second: {{ $labels.reason }}.`,
    todo: 'For overload add capacity. For limits of size see the TSUNICORN_LIMIT_ settings; for timeout and malformed find out who sends them.',
  },
  {
    alert: 'TsunicornLogLinesDropped',
    expr: `sum by (${SERVER}) (increase(tsunicorn_log_lines_dropped_total[15m])) > 0`,
    for: '1m',
    severity: 'warning',
    summary: 'Log lines are lost, as their reader does not keep up',
    found: `${WHERE} dropped {{ $value | humanize }} lines within 15 minutes.`,
    todo: "See whether the log collector hangs or the log's disk is slow. TSUNICORN_ACCESS_LOG=off, or a sampled log of the proxy, makes less to write.",
  },
];

/** A JSON string is YAML too, whatever it contains; single quotes are easier to read where PromQL has double ones. */
const text = (value: string): string =>
  value.includes('"') && !value.includes("'") ? `'${value}'` : JSON.stringify(value);

function groups(indent: string): string {
  const lines = ['groups:', '  - name: tsunicorn-recordings', '    rules:'];
  for (const { record, expr } of RECORDINGS) {
    lines.push(`      - record: ${record}`, `        expr: ${text(expr)}`);
  }
  lines.push('  - name: tsunicorn-alerts', '    rules:');
  for (const rule of ALERTS) {
    lines.push(
      `      - alert: ${rule.alert}`,
      `        expr: ${text(rule.expr)}`,
      `        for: ${rule.for}`,
      `        labels: { severity: ${rule.severity} }`,
      '        annotations:',
      `          summary: ${text(rule.summary)}`,
      `          description: ${text(`${rule.found} ${rule.todo}`)}`,
    );
  }
  return lines.map((line) => `${indent}${line}\n`).join('');
}

const HEADER = '# Generated from scripts/monitoring/rules.ts by `npm run docs`: do not edit. See docs/monitoring.md.\n';

export const prometheusRules = (): string => HEADER + groups('');

export const operatorRules = (): string =>
  `${HEADER}apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n  name: tsunicorn\nspec:\n${groups('  ')}`;
