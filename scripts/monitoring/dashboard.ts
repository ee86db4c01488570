/** The Grafana dashboard, by Grafana's own builders, whose types are those of its schema: `npm run docs` writes it. */
import common from '@grafana/grafana-foundation-sdk/common';
import dashboard from '@grafana/grafana-foundation-sdk/dashboard';
import prometheus from '@grafana/grafana-foundation-sdk/prometheus';
import stat from '@grafana/grafana-foundation-sdk/stat';
import timeseries from '@grafana/grafana-foundation-sdk/timeseries';

type Query = readonly [expr: string, legend: string];

interface Graph {
  readonly title: string;
  /** Units of Grafana: grafana.com/docs/grafana/latest/panels-visualizations/configure-standard-options */
  readonly unit: string;
  readonly text: string;
  readonly queries: readonly Query[];
}

/** What the variables choose. */
const S = 'job=~"$job", instance=~"$instance"';
const RATE = '$__rate_interval';
const DATASOURCE = { type: 'prometheus', uid: '$datasource' };
const COLUMNS = 24;
const LAST = new common.ReduceDataOptionsBuilder().calcs(['lastNotNull']);

export const FIGURES: readonly Graph[] = [
  {
    title: 'Workers ready',
    unit: 'short',
    text: 'Of all servers chosen.',
    queries: [[`sum(tsunicorn_workers{${S}, state="ready"})`, 'ready']],
  },
  {
    title: 'Requests a second',
    unit: 'reqps',
    text: 'Answered.',
    queries: [[`sum(rate(tsunicorn_http_requests_total{${S}}[${RATE}]))`, 'requests']],
  },
  {
    title: 'Server errors',
    unit: 'percentunit',
    text: 'Share of the answers with status 5xx.',
    queries: [
      [
        `(sum(rate(tsunicorn_http_requests_total{${S}, code=~"5.."}[${RATE}])) or vector(0)) / sum(rate(tsunicorn_http_requests_total{${S}}[${RATE}]))`,
        'errors',
      ],
    ],
  },
  {
    title: 'Workers replaced in the last hour',
    unit: 'short',
    text: 'Of themselves, not by a reload or a change of size.',
    queries: [[`sum(increase(tsunicorn_worker_restarts_total{${S}, reason=~"crash|stall|boot|oom"}[1h]))`, 'replaced']],
  },
];

export const ROWS: Readonly<Record<string, readonly Graph[]>> = {
  Requests: [
    {
      title: 'Requests by status',
      unit: 'reqps',
      text: '499: the client left before the response began.',
      queries: [[`sum by (code) (rate(tsunicorn_http_requests_total{${S}}[${RATE}]))`, '{{code}}']],
    },
    {
      title: 'Duration',
      unit: 's',
      text: 'From the header of a request to the end of its response.',
      queries: [0.5, 0.9, 0.99].map((q) => [
        `histogram_quantile(${q}, sum by (le) (rate(tsunicorn_http_request_duration_seconds_bucket{${S}}[${RATE}])))`,
        `${q * 100} %`,
      ]),
    },
    {
      title: 'Turned away',
      unit: 'reqps',
      text: 'By tsunicorn itself, before the app saw them.',
      queries: [[`sum by (reason) (rate(tsunicorn_http_requests_rejected_total{${S}}[${RATE}]))`, '{{reason}}']],
    },
    {
      title: 'In flight, and connections',
      unit: 'short',
      text: 'Requests that are not answered yet, and open connections.',
      queries: [
        [`sum by (instance) (tsunicorn_http_requests_in_flight{${S}})`, '{{instance}} in flight'],
        [`sum by (instance) (tsunicorn_connections{${S}})`, '{{instance}} connections'],
      ],
    },
    {
      title: 'Sent',
      unit: 'Bps',
      text: 'Heads and bodies of responses.',
      queries: [[`sum by (instance) (rate(tsunicorn_http_response_bytes_total{${S}}[${RATE}]))`, '{{instance}}']],
    },
    {
      title: 'Accept queues',
      unit: 'short',
      text: 'Connections that no worker has accepted yet. More than a moment above 0: the workers do not keep up.',
      queries: [[`tsunicorn_accept_queue_length{${S}}`, '{{instance}} {{listener}}']],
    },
  ],
  Workers: [
    {
      title: 'Workers by state',
      unit: 'short',
      text: 'desired is how many there should be.',
      queries: [[`sum by (state) (tsunicorn_workers{${S}})`, '{{state}}']],
    },
    {
      title: 'Replaced, by reason',
      unit: 'short',
      text: 'In five minutes.',
      queries: [[`sum by (reason) (increase(tsunicorn_worker_restarts_total{${S}}[5m]))`, '{{reason}}']],
    },
    {
      title: 'Event loop utilisation',
      unit: 'percentunit',
      text: 'Above 60 % requests wait for each other noticeably.',
      queries: [[`tsunicorn_event_loop_utilization{${S}}`, '{{instance}} {{worker}}']],
    },
    {
      title: 'Event loop lag, longest',
      unit: 's',
      text: 'A peak is one piece of work that kept everybody waiting.',
      queries: [[`tsunicorn_event_loop_lag_seconds{${S}, quantile="1"}`, '{{instance}} {{worker}}']],
    },
    {
      title: 'Resident memory',
      unit: 'bytes',
      text: 'Of each worker. A saw-tooth means recycling; a line that only climbs, a leak.',
      queries: [[`tsunicorn_worker_resident_memory_bytes{${S}}`, '{{instance}} {{worker}}']],
    },
    {
      title: 'Garbage collection',
      unit: 'percentunit',
      text: 'Share of the time.',
      queries: [
        [
          `sum by (instance, worker) (rate(tsunicorn_worker_gc_duration_seconds_sum{${S}}[${RATE}]))`,
          '{{instance}} {{worker}}',
        ],
      ],
    },
  ],
  'Limits of the container': [
    {
      title: 'CPU',
      unit: 'short',
      text: 'Cores in use by the workers, and the quota.',
      queries: [
        [`sum by (instance) (rate(tsunicorn_worker_cpu_seconds_total{${S}}[${RATE}]))`, '{{instance}} used'],
        [`tsunicorn_cgroup_cpu_quota_cores{${S}}`, '{{instance}} quota'],
      ],
    },
    {
      title: 'Throttled',
      unit: 'percentunit',
      text: 'Share of the periods in which the CPU quota was used up.',
      queries: [
        [
          `rate(tsunicorn_cgroup_cpu_throttled_periods_total{${S}}[${RATE}]) / rate(tsunicorn_cgroup_cpu_periods_total{${S}}[${RATE}])`,
          '{{instance}}',
        ],
      ],
    },
    {
      title: 'Memory',
      unit: 'bytes',
      text: 'Without page cache that can go, and the limit.',
      queries: [
        [`tsunicorn_cgroup_memory_working_set_bytes{${S}}`, '{{instance}} used'],
        [`tsunicorn_cgroup_memory_limit_bytes{${S}}`, '{{instance}} limit'],
      ],
    },
    {
      title: 'Pressure',
      unit: 'percentunit',
      text: 'Share of the time in which something waited for the resource (cgroup v2).',
      queries: [[`rate(tsunicorn_cgroup_pressure_waiting_seconds_total{${S}}[${RATE}])`, '{{instance}} {{resource}}']],
    },
    {
      title: 'OOM kills',
      unit: 'short',
      text: 'In five minutes.',
      queries: [[`increase(tsunicorn_cgroup_oom_kills_total{${S}}[5m])`, '{{instance}}']],
    },
    {
      title: 'Log lines dropped',
      unit: 'short',
      text: 'A second, as their reader did not keep up.',
      queries: [[`sum by (instance) (rate(tsunicorn_log_lines_dropped_total{${S}}[${RATE}]))`, '{{instance}}']],
    },
  ],
};

/** Every query, as it is written. */
export const queries = (): string[] =>
  [...FIGURES, ...Object.values(ROWS).flat()].flatMap((graph) => graph.queries.map(([expr]) => expr));

function variable(name: string, query: string): dashboard.QueryVariableBuilder {
  return new dashboard.QueryVariableBuilder(name)
    .datasource(DATASOURCE)
    .query(query)
    .refresh(dashboard.VariableRefresh.OnTimeRangeChanged)
    .sort(dashboard.VariableSort.AlphabeticalAsc)
    .multi(true)
    .includeAll(true)
    .allValue('.*')
    .current({ selected: true, text: 'All', value: '$__all' });
}

/** What all kinds of panels have in common. */
function fill<T extends stat.PanelBuilder | timeseries.PanelBuilder>(panel: T, graph: Graph, id: number): T {
  panel.id(id).title(graph.title).description(graph.text).unit(graph.unit).datasource(DATASOURCE);
  for (const [i, [expr, legend]] of graph.queries.entries()) {
    const refId = String.fromCharCode('A'.charCodeAt(0) + i);
    const query = new prometheus.DataqueryBuilder().refId(refId).datasource(DATASOURCE);
    panel.withTarget(query.expr(expr).legendFormat(legend).range());
  }
  return panel;
}

export function grafanaDashboard(): string {
  const board = new dashboard.DashboardBuilder('tsunicorn')
    .uid('tsunicorn')
    .description('Requests, workers and limits. docs/monitoring.md says more.')
    .tags(['tsunicorn'])
    .refresh('30s')
    .time({ from: 'now-1h', to: 'now' })
    .timezone('browser')
    .tooltip(dashboard.DashboardCursorSync.Crosshair)
    .withVariable(new dashboard.DatasourceVariableBuilder('datasource').label('Data source').type('prometheus'))
    .withVariable(variable('job', 'label_values(tsunicorn_build_info, job)'))
    .withVariable(variable('instance', 'label_values(tsunicorn_build_info{job=~"$job"}, instance)'));
  let id = 0;
  for (const graph of FIGURES) {
    board.withPanel(
      fill(new stat.PanelBuilder(), graph, ++id)
        .reduceOptions(LAST)
        .height(4)
        .span(COLUMNS / FIGURES.length),
    );
  }
  for (const [title, graphs] of Object.entries(ROWS)) {
    board.withRow(new dashboard.RowBuilder(title).id(++id));
    for (const graph of graphs) {
      board.withPanel(
        fill(new timeseries.PanelBuilder(), graph, ++id)
          .height(8)
          .span(COLUMNS / 3)
          .min(0),
      );
    }
  }
  return `${JSON.stringify(board.build(), undefined, 2)}\n`;
}
