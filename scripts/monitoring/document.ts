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

\`docker compose -f compose/compose.yaml --profile monitoring up\` starts Prometheus on \`127.0.0.1:9090\` and Grafana on \`127.0.0.1:3000\`. There anyone may look at Grafana and login is off, so there is no password. Before you expose it, give it a login: \`GF_AUTH_ANONYMOUS_ENABLED=false\`, \`GF_AUTH_DISABLE_LOGIN_FORM=false\`, no \`GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION\`, and a secret named by \`GF_SECURITY_ADMIN_PASSWORD__FILE\`. Prometheus shows alerts; sending them needs an Alertmanager.

## Alerts

A server that cannot be scraped has no series, so none of these alerts fires for it: also watch \`up\` and, under Kubernetes, the pods.

${markdownTable(['Alert', 'Severity', 'After', 'Meaning', 'What to do'], alerts)}
## Recording rules

${markdownTable(['Series', 'Meaning'], records)}
## The dashboard

Variables choose the data source, the jobs and the servers. On top are four figures: ready workers, requests per second, the share of server errors, and workers replaced. Below:

${markdownTable(['Row', 'Graphs'], rows)}
A panel stays empty if the kernel lacks its series: CPU quota, throttling and memory limit need limits, pressure needs cgroup v2.
`;
}
