/** Manifests as kubectl renders them, and the parts of them that the tests look at. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { kubectl, load } from './tools.ts';

export const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
export const K8S = join(ROOT, 'k8s');
export const RENDERED = join(K8S, 'rendered/production.yaml');

type Labels = Readonly<Record<string, string>>;

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { name: string; readonly namespace?: string; readonly labels?: Labels };
  readonly [field: string]: unknown;
}

export interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string | number; readonly host?: string };
  readonly initialDelaySeconds?: number;
  readonly periodSeconds: number;
  readonly timeoutSeconds: number;
  readonly failureThreshold: number;
}

export interface SecurityContext {
  readonly [field: string]: unknown;
  readonly runAsNonRoot?: boolean;
  readonly runAsUser?: number;
  readonly seccompProfile?: { readonly type: string };
  readonly capabilities?: { readonly drop?: readonly string[]; readonly add?: readonly string[] };
}

export interface Container {
  readonly name: string;
  image: string;
  readonly restartPolicy?: string;
  readonly ports?: { name: string; containerPort: number; readonly hostPort?: number }[];
  readonly envFrom?: readonly {
    readonly configMapRef?: { readonly name: string };
    readonly secretRef?: { readonly name: string };
  }[];
  readonly env?: { readonly name: string; readonly value?: string }[];
  readonly resources?: { readonly requests?: Labels; readonly limits?: Labels };
  readonly resizePolicy?: readonly { readonly resourceName: string; readonly restartPolicy: string }[];
  readonly startupProbe?: Probe;
  readonly readinessProbe?: Probe;
  readonly livenessProbe?: Probe;
  readonly lifecycle?: object;
  readonly securityContext?: SecurityContext;
  readonly volumeMounts?: { name: string; readonly mountPath: string; readonly subPath?: string }[];
}

export interface Volume {
  name: string;
  readonly emptyDir?: { readonly medium?: string; readonly sizeLimit?: string };
  readonly secret?: { readonly secretName: string };
  readonly configMap?: { readonly name: string };
  readonly [source: string]: unknown;
}

export interface PodSpec {
  readonly [field: string]: unknown;
  readonly serviceAccountName?: string;
  readonly automountServiceAccountToken?: boolean;
  terminationGracePeriodSeconds?: number;
  readonly securityContext?: SecurityContext;
  readonly initContainers?: Container[];
  readonly containers: Container[];
  readonly volumes?: Volume[];
  readonly topologySpreadConstraints?: readonly { readonly labelSelector: Selector }[];
}

export interface Selector {
  readonly matchLabels: Labels;
}

export interface Deployment extends Manifest {
  readonly spec: {
    readonly replicas?: number;
    readonly selector: Selector;
    readonly strategy: { readonly rollingUpdate: { readonly maxUnavailable: number | string } };
    readonly template: {
      readonly metadata: { readonly labels: Labels; readonly annotations?: Labels };
      readonly spec: PodSpec;
    };
  };
}

export async function parse(text: string): Promise<Manifest[]> {
  const { loadAll } = await load<{ loadAll(text: string): unknown[] }>('js-yaml');
  return loadAll(text).filter(Boolean) as Manifest[];
}

export async function renderText(folder: string): Promise<string> {
  return await kubectl('kustomize', folder);
}

/** Every overlay, and the base with each component and with all of them that go together: name → manifests. */
export async function renderAll(): Promise<Map<string, Manifest[]>> {
  const all = new Map<string, Manifest[]>();
  for (const overlay of folders('overlays')) {
    all.set(`overlays/${overlay}`, await parse(await renderText(join(K8S, 'overlays', overlay))));
  }
  const components = folders('components');
  for (const component of components) all.set(`base + ${component}`, await renderWith('base', component));
  all.set(
    'production + all',
    await renderWith('overlays/production', ...components.filter((name) => !IN_PRODUCTION.has(name))),
  );
  return all;
}

const IN_PRODUCTION = new Set(['namespace', 'nginx-sidecar', 'monitoring-annotations']);

/** What a user's own overlay gets from `resource` and components. */
export async function renderWith(resource: string, ...components: readonly string[]): Promise<Manifest[]> {
  const folder = mkdtempSync(join(tmpdir(), 'tsunicorn-k8s-'));
  try {
    const path = (name: string) => relative(folder, join(K8S, name));
    const list = components.map((name) => path(`components/${name}`));
    writeFileSync(
      join(folder, 'kustomization.yaml'),
      JSON.stringify({ namespace: 'mine', resources: [path(resource)], components: list }),
    );
    return await parse(await renderText(folder));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export const folders = (kind: string): string[] => readdirSync(join(K8S, kind)).sort();

export function find<T extends Manifest>(manifests: readonly Manifest[], kind: string, name = 'tsunicorn'): T {
  const found = manifests.find((manifest) => manifest.kind === kind && manifest.metadata.name === name);
  if (!found) throw new Error(`no ${kind} ${name}`);
  return found as T;
}

export const podOf = (manifests: readonly Manifest[]): PodSpec =>
  find<Deployment>(manifests, 'Deployment').spec.template.spec;

/** Sidecars and others, in the order in which the kubelet starts them. */
export const containersOf = (pod: PodSpec): Container[] => [...(pod.initContainers ?? []), ...pod.containers];

/** The environment of a container, as the kubelet puts it together. */
export function environmentOf(manifests: readonly Manifest[], container: Container): Record<string, string> {
  const maps = (container.envFrom ?? []).map(({ configMapRef }) =>
    configMapRef ? (find(manifests, 'ConfigMap', configMapRef.name).data as Record<string, string>) : {},
  );
  const own = (container.env ?? []).map(({ name, value = '' }) => [name, value]);
  return Object.assign({}, ...maps, Object.fromEntries(own));
}

export const HEADER =
  '# Generated by `npm run k8s` from overlays/production: do not edit. kubectl apply -f k8s/rendered/production.yaml\n';

/** What {@link RENDERED} has to contain. */
export async function renderedProduction(): Promise<string> {
  return HEADER + (await renderText(join(K8S, 'overlays/production')));
}

export const readRendered = (): string => readFileSync(RENDERED, 'utf8');

/** A copy in which the field at `path`, such as `containers.0.image`, is another one; `undefined` takes it out. */
export function changed<T extends object>(original: T, path: string, value: unknown): T {
  const copy = structuredClone(original);
  const keys = path.split('.');
  const last = keys.pop() ?? '';
  let part = copy as Record<string, unknown>;
  for (const key of keys) part = part[key] as Record<string, unknown>;
  if (value === undefined) delete part[last];
  else part[last] = value;
  return copy;
}
