/** What refers to something else has to find it: names, selectors, ports, volumes. */
import { containersOf, type Deployment, find, type Manifest, podOf, type Selector } from './manifests.ts';
import { settingsAndTimes, unknownVariables } from './times.ts';

interface Ports {
  readonly spec: {
    readonly selector?: Record<string, string>;
    readonly ports: readonly { name: string; port: number; targetPort: string }[];
  };
}
interface Rule {
  readonly ports?: readonly { readonly port: string | number }[];
}

/** What is wrong, a line each. `nginxVariables` are those that the nginx image knows. */
export function brokenReferences(manifests: readonly Manifest[], nginxVariables: ReadonlySet<string>): string[] {
  const missing = names(manifests);
  if (missing.length > 0) return missing; // the rest follows the names
  return [
    ...duplicates(manifests),
    ...selectors(manifests),
    ...ports(manifests),
    ...volumes(manifests),
    ...unknownVariables(manifests, nginxVariables),
    ...settingsAndTimes(manifests),
  ];
}

function duplicates(manifests: readonly Manifest[]): string[] {
  const ids = manifests.map(({ kind, metadata }) => `${kind}/${metadata.name}`);
  const namespaces = new Set(manifests.filter(({ kind }) => kind !== 'Namespace').map((m) => m.metadata.namespace));
  return [
    ...ids.filter((id, index) => ids.indexOf(id) !== index).map((id) => `${id} is there twice`),
    ...(namespaces.size > 1 ? [`several namespaces: ${[...namespaces].join(', ')}`] : []),
  ];
}

/** Every selector of pods has to match the template's labels, and none may match each pod of the namespace. */
function selectors(manifests: readonly Manifest[]): string[] {
  const deployment = find<Deployment>(manifests, 'Deployment');
  const labels = deployment.spec.template.metadata.labels;
  const spread = deployment.spec.template.spec.topologySpreadConstraints ?? [];
  const found: [string, Record<string, string> | undefined][] = [
    ['Deployment', deployment.spec.selector.matchLabels],
    ...spread.map(({ labelSelector }): [string, Record<string, string>] => ['spread', labelSelector.matchLabels]),
  ];
  for (const { kind, metadata, spec } of manifests) {
    const part = spec as { selector?: unknown; podSelector?: unknown };
    const id = `${kind}/${metadata.name}`;
    if (kind === 'Service') found.push([id, part.selector as Record<string, string>]);
    if (kind === 'PodDisruptionBudget' || kind === 'PodMonitor')
      found.push([id, (part.selector as Selector).matchLabels]);
    if (kind === 'NetworkPolicy') found.push([id, (part.podSelector as Selector).matchLabels]);
  }
  return found
    .filter(([, wanted = {}]) => {
      const pairs = Object.entries(wanted);
      return pairs.length === 0 || pairs.some(([key, value]) => labels[key] !== value);
    })
    .map(([id]) => `${id}: the selector does not match the pods`);
}

function ports(manifests: readonly Manifest[]): string[] {
  const containers = containersOf(podOf(manifests));
  const declared = containers.flatMap((container) => container.ports ?? []);
  // The names of native sidecars' ports are not found by Services before 1.32, and by some network plugins.
  const namesOfPorts = new Set(podOf(manifests).containers.flatMap((own) => (own.ports ?? []).map(({ name }) => name)));
  const missing: string[] = [];
  const need = (where: string, port: string | number | undefined) => {
    const known = typeof port === 'string' ? namesOfPorts.has(port) : declared.some((p) => p.containerPort === port);
    if (!known) missing.push(`${where}: no container has port ${port}`);
  };
  for (const key of ['name', 'containerPort'] as const) {
    const all = declared.map((port) => port[key]);
    for (const one of all.filter((port, index) => all.indexOf(port) !== index))
      missing.push(`port ${one} is there twice`);
  }
  for (const container of containers) {
    for (const probe of [container.startupProbe, container.readinessProbe, container.livenessProbe]) {
      const own = container.ports?.some(({ name }) => name === probe?.httpGet.port);
      if (probe && !own)
        missing.push(`${container.name}: a probe asks port ${probe.httpGet.port} of another container`);
    }
  }
  const service = find<Manifest & Ports>(manifests, 'Service');
  for (const { targetPort } of service.spec.ports) need('Service', targetPort);
  for (const { kind, metadata, spec } of manifests) {
    const id = `${kind}/${metadata.name}`;
    if (kind === 'NetworkPolicy') {
      for (const rule of (spec as { ingress?: readonly Rule[] }).ingress ?? []) {
        for (const { port } of rule.ports ?? []) need(id, port);
      }
    }
    if (kind === 'PodMonitor') {
      for (const { port } of (spec as { podMetricsEndpoints: { port: string }[] }).podMetricsEndpoints) need(id, port);
    }
    for (const { name, port } of backends(spec)) {
      const known = service.spec.ports.some((own) => own.port === port || own.name === port);
      if (name !== service.metadata.name || !known)
        missing.push(`${id}: there is no Service ${name} with port ${port}`);
    }
  }
  const annotated = find<Deployment>(manifests, 'Deployment').spec.template.metadata.annotations?.[
    'prometheus.io/port'
  ];
  if (annotated !== undefined) need('prometheus.io/port', Number(annotated));
  return missing;
}

/** The services that an Ingress or an HTTPRoute names, wherever. */
function backends(part: unknown): { name: string; port: string | number }[] {
  if (typeof part !== 'object' || part === null) return [];
  const { service, backendRefs, ...rest } = part as {
    service?: { name: string; port: { name?: string; number?: number } };
    backendRefs?: { name: string; port: number }[];
  };
  const own = service?.port ? [{ name: service.name, port: service.port.name ?? service.port.number ?? 0 }] : [];
  return [...own, ...(backendRefs ?? []), ...Object.values(rest).flatMap(backends)];
}

/** ConfigMaps, Secrets, the service account, and what the autoscaler scales. */
function names(manifests: readonly Manifest[]): string[] {
  const pod = podOf(manifests);
  const wanted: [string, string | undefined][] = [['ServiceAccount', pod.serviceAccountName]];
  for (const { envFrom = [] } of containersOf(pod)) {
    for (const { configMapRef, secretRef } of envFrom) {
      wanted.push(configMapRef ? ['ConfigMap', configMapRef.name] : ['Secret', secretRef?.name]);
    }
  }
  for (const { secret, configMap } of pod.volumes ?? []) {
    if (secret) wanted.push(['Secret', secret.secretName]);
    if (configMap) wanted.push(['ConfigMap', configMap.name]);
  }
  const scaler = manifests.find(({ kind }) => kind === 'HorizontalPodAutoscaler')?.spec as
    | { scaleTargetRef: { kind: string; name: string }; metrics: { containerResource?: { container: string } }[] }
    | undefined;
  if (scaler) wanted.push([scaler.scaleTargetRef.kind, scaler.scaleTargetRef.name]);
  const measured = (scaler?.metrics ?? []).flatMap(({ containerResource }) => containerResource?.container ?? []);
  return [
    ...wanted
      .filter(([kind, name]) => !manifests.some((m) => m.kind === kind && m.metadata.name === name))
      .map(([kind, name]) => `there is no ${kind} ${name}`),
    ...measured
      .filter((name) => !pod.containers.some((container) => container.name === name))
      .map((name) => `there is no container ${name} to measure`),
    ...(scaler && find<Deployment>(manifests, 'Deployment').spec.replicas !== undefined
      ? ['replicas is set beside an autoscaler']
      : []),
  ];
}

function volumes(manifests: readonly Manifest[]): string[] {
  const pod = podOf(manifests);
  const mounts = containersOf(pod).flatMap(({ volumeMounts = [] }) => volumeMounts.map(({ name }) => name));
  const declared = (pod.volumes ?? []).map(({ name }) => name);
  return [
    ...mounts.filter((name) => !declared.includes(name)).map((name) => `there is no volume ${name}`),
    ...declared.filter((name) => !mounts.includes(name)).map((name) => `no container mounts the volume ${name}`),
  ];
}
