/** The rendered manifests as podman 4.3 can run them, two pods on the network of one machine. */
import { type Container, type Deployment, find, type Manifest } from '../../k8s/support/manifests.ts';
import { ROOT } from './machine.ts';
import { IMAGE, NGINX_IMAGE } from './podman.ts';

export interface PodOptions {
  /** Settings that differ from the overlay's. */
  readonly settings?: Readonly<Record<string, string>>;
  readonly nginx?: Readonly<Record<string, string>>;
}

/** What podman has no use for is left out, and Secrets, which it takes from its own store. */
const PLAYED = ['ConfigMap', 'Deployment'];

/**
 * What podman cannot take here: ports on the network of the machine; requests, whose memory it makes a soft limit of,
 * which needs a cgroup that is missing; probes, which it leaves out or turns into health checks that need systemd.
 */
const NOT_PLAYED = new Set(['ports', 'requests', 'startupProbe', 'readinessProbe', 'livenessProbe']);

/** What `podman kube play` reads. */
export function forPodman(manifests: readonly Manifest[]): string {
  return manifests
    .filter(({ kind }) => PLAYED.includes(kind))
    .map((manifest) => JSON.stringify(manifest, (key, value) => (NOT_PLAYED.has(key) ? undefined : value)))
    .join('\n---\n');
}

/** Other names, ports and images; the native sidecar is one of the containers, and the app is that of the tests. */
export function onThisMachine(
  rendered: readonly Manifest[],
  name: string,
  ports: { readonly http: number; readonly admin: number },
  { settings = {}, nginx = {} }: PodOptions,
): Manifest[] {
  const manifests = structuredClone(rendered) as Manifest[];
  const deployment = find<Deployment>(manifests, 'Deployment');
  deployment.metadata.name = name;
  const { spec } = deployment.spec.template;
  const data = (container: Container, index: number) =>
    find(manifests, 'ConfigMap', container.envFrom?.[index]?.configMapRef?.name).data as Record<string, string>;
  const [sidecar] = spec.initContainers ?? [];
  const [app] = spec.containers;
  if (!sidecar || !app) throw new Error('the overlay has no sidecar');
  Object.assign(data(app, 0), { TSUNICORN_ADMIN_BIND: `127.0.0.1:${ports.admin}` }, settings);
  const readyz = `http://127.0.0.1:${ports.admin}/readyz`;
  Object.assign(data(sidecar, 1), { NGINX_PORT: `127.0.0.1:${ports.http}`, NGINX_READYZ: readyz }, nginx);
  for (const container of [sidecar, app]) {
    container.image = container === app ? IMAGE : NGINX_IMAGE;
    Object.assign(container, { imagePullPolicy: 'Never', restartPolicy: undefined });
    for (const port of container.ports ?? []) port.containerPort = port.name === 'http' ? ports.http : ports.admin;
  }
  spec.containers.unshift(sidecar);
  spec.initContainers?.shift();
  // Podman makes a volume of the machine of each, which two pods would share.
  for (const part of [...(spec.volumes ?? []), ...[sidecar, app].flatMap(({ volumeMounts = [] }) => volumeMounts)]) {
    part.name = `${name}-${part.name}`;
  }
  for (const { secret } of spec.volumes ?? []) if (secret) Object.assign(secret, { secretName: name, optional: false });
  spec.volumes?.push({ name: 'app', hostPath: { path: `${ROOT}test/container/app` } });
  app.volumeMounts?.push({ name: 'app', mountPath: '/app' });
  return manifests;
}
