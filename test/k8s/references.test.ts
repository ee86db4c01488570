/** Names, selectors, ports, volumes, settings and times of what is rendered fit together. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { changed, type Manifest, ROOT, renderAll } from './support/manifests.ts';
import { brokenReferences } from './support/references.ts';
import { skipReason } from './support/tools.ts';

const skip = skipReason();

/** Those that the scripts of the nginx image read. */
const scripts = ['16-tsunicorn.envsh', 'follow-upstream.sh', 'follow-readiness.sh'];
const nginxText = scripts.map((name) => readFileSync(join(ROOT, 'docker/nginx', name), 'utf8')).join('');
const NGINX_VARIABLES = new Set(nginxText.match(/\bNGINX_[A-Z_]*[A-Z]\b/g));

suite('references', { skip }, async () => {
  const all = skip ? new Map<string, Manifest[]>() : await renderAll();

  for (const [name, manifests] of all) {
    test(`${name} fits together`, () => assert.deepEqual(brokenReferences(manifests, NGINX_VARIABLES), []));
  }

  const pod = 'spec.template.spec';
  const mistakes: readonly [kind: string, path: string, value: unknown, says: RegExp][] = [
    ['Service', 'spec.selector', { app: 'other' }, /Service\/tsunicorn: the selector does not match/],
    ['Service', 'spec.ports.0.targetPort', 'web', /Service: no container has port web/],
    ['Service', 'spec.ports.0.targetPort', 'http', /Service: no container has port http/],
    ['NetworkPolicy', 'spec.ingress.0.ports.0.port', 'http', /no container has port http/],
    ['PodDisruptionBudget', 'spec.selector.matchLabels', {}, /PodDisruptionBudget\/tsunicorn: the selector/],
    ['NetworkPolicy', 'spec.podSelector.matchLabels', { a: 'b' }, /NetworkPolicy\/tsunicorn: the selector/],
    ['NetworkPolicy', 'spec.ingress.0.ports.0.port', 'web', /no container has port web/],
    ['PodMonitor', 'spec.podMetricsEndpoints.0.port', 'metrics', /no container has port metrics/],
    ['Deployment', 'spec.template.metadata.annotations', { 'prometheus.io/port': '9090' }, /has port 9090/],
    ['Deployment', `${pod}.topologySpreadConstraints.0.labelSelector.matchLabels`, {}, /spread: the selector/],
    ['Deployment', `${pod}.containers.0.readinessProbe.httpGet.port`, 'http', /app: a probe asks port http of another/],
    ['Deployment', `${pod}.containers.0.ports.0.containerPort`, 8080, /port 8080 is there twice/],
    ['Deployment', `${pod}.containers.0.envFrom.0.configMapRef.name`, 'tsunicorn', /no ConfigMap tsunicorn/],
    ['Deployment', `${pod}.serviceAccountName`, 'default', /no ServiceAccount default/],
    ['Deployment', `${pod}.containers.0.volumeMounts.0.name`, 'socket', /no volume socket/],
    ['Deployment', `${pod}.volumes.0.name`, 'unused', /no container mounts the volume unused/],
    ['Deployment', `${pod}.containers.0.env.0.value`, '/run/secrets/tsunicorn/ips', /FORWARDED_ALLOW_IPS_FILE=.*\/ips/],
    ['Deployment', `${pod}.containers.0.env.0.name`, 'TSUNICORN_ALLOW_FILE', /TSUNICORN_ALLOW_FILE is no setting/],
    ['Deployment', `${pod}.terminationGracePeriodSeconds`, 39, /39 is below 40/],
    ['Deployment', `${pod}.containers.0.startupProbe.failureThreshold`, 60, /gives up before TSUNICORN_BOOT_TIMEOUT/],
    ['Deployment', `${pod}.containers.0.startupProbe.failureThreshold`, 120, /nginx gives up before the app/],
    ['Deployment', `${pod}.containers.0.livenessProbe.httpGet.path`, '/readyz', /liveness probe fails while/],
    ['Deployment', `${pod}.containers.0.readinessProbe.httpGet.path`, '/livez', /does not ask \/readyz/],
    ['Deployment', `${pod}.containers.0.resizePolicy`, [], /a resize restarts/],
    ['Deployment', `${pod}.initContainers.0.livenessProbe.initialDelaySeconds`, 10, /nginx is killed while it waits/],
    [
      'Deployment',
      `${pod}.initContainers.0.startupProbe`,
      { httpGet: { port: 'http' } },
      /the app waits for the sidecar/,
    ],
    ['Deployment', 'spec.strategy.rollingUpdate.maxUnavailable', '25%', /before their successors are ready/],
    ['Deployment', 'spec.replicas', 3, /replicas is set beside an autoscaler/],
    ['HorizontalPodAutoscaler', 'spec.scaleTargetRef.name', 'app', /there is no Deployment app/],
    ['Ingress', 'spec.rules.0.http.paths.0.backend.service.port.name', 'web', /no Service tsunicorn with port web/],
    ['HTTPRoute', 'spec.rules.0.backendRefs.0.port', 8080, /no Service tsunicorn with port 8080/],
    ['ConfigMap', 'data.TSUNICORN_WORKER', '2', /TSUNICORN_WORKER is no setting/],
    ['ConfigMap', 'data.TSUNICORN_KEEPALIVE', 'long', /TSUNICORN_KEEPALIVE/],
    ['ConfigMap', 'data.TSUNICORN_GRACEFUL_TIMEOUT', '26', /40 is below 41/],
    ['ConfigMap', 'data.TSUNICORN_DRAIN_DELAY', undefined, /left to the pod/],
    ['ConfigMap', 'data.TSUNICORN_BIND', 'unix:/run/app.sock', /the sockets are on no common volume/],
    ['ConfigMap', 'data.TSUNICORN_ADMIN_BIND', '0.0.0.0:9000', /TSUNICORN_ADMIN_BIND is not the port admin/],
    ['Secret', 'data.forwarded_allow_ips', 'bm9ib2R5', /FORWARDED_ALLOW_IPS_FILE=/],
    ['Secret', 'data', {}, /FORWARDED_ALLOW_IPS_FILE=.*forwarded_allow_ips/],
  ];
  for (const [kind, path, value, says] of mistakes) {
    test(`${kind} with ${path} ${JSON.stringify(value) ?? 'left out'} is found`, () => {
      const production = all.get('production + all') ?? [];
      const index = production.findIndex((manifest) => manifest.kind === kind);
      const broken = production.with(index, changed(production[index]!, path, value));
      assert.match(brokenReferences(broken, NGINX_VARIABLES).join('\n'), says);
    });
  }
});
