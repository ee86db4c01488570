/** docs/monitoring.md, from the tables of the rules and of the dashboard. */
import { code, markdownTable } from '../../src/config/render.ts';
import { ROWS } from './dashboard.ts';
import { ALERTS, RECORDINGS } from './rules.ts';

export function monitoringDocument(generated: string): string {
  const alerts = ALERTS.map((rule) => [code(rule.alert), rule.severity, rule.for, `${rule.summary}.`, rule.todo]);
  const records = RECORDINGS.map(({ record, means }) => [code(record), means]);
  const rows = Object.entries(ROWS).map(([title, graphs]) => [title, graphs.map((graph) => graph.title).join('; ')]);
  return `${generated}

# Monitoring

| For | Rules | Dashboard |
| --- | --- | --- |
| Compose | [tsunicorn.yml](../compose/prometheus/rules/tsunicorn.yml), mounted | [tsunicorn.json](../compose/grafana/dashboards/tsunicorn.json), provisioned |
| Kubernetes | [k8s/components/monitoring](../k8s/components/monitoring), for the Prometheus operator | the same file: import it |

\`docker compose -f compose/compose.yaml --profile monitoring up\` starts Prometheus on \`127.0.0.1:9090\` and Grafana on \`127.0.0.1:3000\`. There Grafana lets everybody look and nobody log in, so there is no password to choose or to forget. Before it is reachable from elsewhere, give it a log-in: \`GF_AUTH_ANONYMOUS_ENABLED=false\`, \`GF_AUTH_DISABLE_LOGIN_FORM=false\`, no \`GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION\`, and a secret named by \`GF_SECURITY_ADMIN_PASSWORD__FILE\`. Alerts are shown by Prometheus; to be sent anywhere they need an Alertmanager.

## Alerts

A server that cannot be scraped has no series, and none of these alerts fires for it: watch \`up\` and, under Kubernetes, the pods as well.

${markdownTable(['Alert', 'Severity', 'After', 'Meaning', 'What to do'], alerts)}
## Recording rules

${markdownTable(['Series', 'Meaning'], records)}
## The dashboard

Variables choose the data source, the jobs and the servers. First come four figures: workers that are ready, requests a second, the share of server errors, and workers replaced. Below:

${markdownTable(['Row', 'Graphs'], rows)}
A panel whose series the kernel does not give stays empty: the CPU quota, throttling and the memory limit need limits, and pressure needs cgroup v2.
`;
}
