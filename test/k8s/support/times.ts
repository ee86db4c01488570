/** What the containers are told, and the times that follow: probes, drain, grace period, sidecar. */
import { loadSettings } from '../../../src/config/load.ts';
import { SETTINGS, type Settings } from '../../../src/config/settings.ts';
import { variablesOf } from '../../../src/config/table.ts';
import { ConfigError } from '../../../src/errors.ts';
import {
  type Container,
  containersOf,
  type Deployment,
  environmentOf,
  find,
  type Manifest,
  podOf,
} from './manifests.ts';

/** Seconds between the end of the app and the kubelet's SIGKILL. */
const MARGIN = 5;
/** For nginx, which is stopped when the app has ended: what slow clients have not taken yet. */
const SIDECAR_MARGIN = 10;

/** Every variable is one that its reader knows. */
export function unknownVariables(manifests: readonly Manifest[], nginxVariables: ReadonlySet<string>): string[] {
  const known = new Set(variablesOf(SETTINGS));
  const maps = manifests.filter(({ kind }) => kind === 'ConfigMap');
  const own = containersOf(podOf(manifests)).flatMap(({ env = [] }) => env.map(({ name }) => name));
  return [...maps.flatMap(({ data }) => Object.keys(data as object)), ...own]
    .filter((name) => !known.has(name) && !nginxVariables.has(name))
    .map((name) => `${name} is no setting`);
}

/** tsunicorn accepts what it is given, files of Secrets included, and the times are in their order. */
export function settingsAndTimes(manifests: readonly Manifest[]): string[] {
  const app = podOf(manifests).containers[0];
  if (!app) return ['there is no container'];
  const env = environmentOf(manifests, app);
  try {
    const readFile = (path: string) => mountedFile(manifests, app, path);
    const { settings } = loadSettings({ env, cwd: '/app', isTerminal: false, readFile });
    return [...addresses(settings, app), ...times(manifests, settings, env)];
  } catch (error) {
    if (error instanceof ConfigError) return [error.message];
    throw error;
  }
}

/** A key of a mounted Secret. */
function mountedFile(manifests: readonly Manifest[], container: Container, path: string): string {
  const mount = container.volumeMounts?.find(({ mountPath }) => path.startsWith(`${mountPath}/`));
  const secret = podOf(manifests).volumes?.find(({ name }) => name === mount?.name)?.secret?.secretName;
  const data = (secret === undefined ? {} : find(manifests, 'Secret', secret).data) as Record<string, string>;
  const content = data[path.slice((mount?.mountPath.length ?? 0) + 1)];
  if (content === undefined) throw Object.assign(new Error('nothing is mounted there'), { code: 'ENOENT' });
  return Buffer.from(content, 'base64').toString();
}

/** tsunicorn listens where the container says it does. */
function addresses(settings: Settings, app: Container): string[] {
  const portOf = (name: string) => app.ports?.find((port) => port.name === name)?.containerPort;
  const [bind] = settings.bind;
  const admin = settings.adminBind;
  return [
    ...(admin === undefined || admin.kind !== 'tcp' || admin.port !== portOf('admin')
      ? ['TSUNICORN_ADMIN_BIND is not the port admin of the container']
      : []),
    ...(bind?.kind === 'tcp' && bind.port !== portOf('http') ? ['TSUNICORN_BIND is not the port http'] : []),
  ];
}

/** The chain of times: probes outlast boots, the kubelet's patience the drain, and the sidecar's start the app's. */
function times(manifests: readonly Manifest[], settings: Settings, env: Record<string, string>): string[] {
  const pod = podOf(manifests);
  const app = pod.containers[0];
  if (!app) return [];
  const sidecars = (pod.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always');
  const grace = pod.terminationGracePeriodSeconds ?? 30;
  const least = settings.gracefulTimeout + MARGIN + (sidecars.length > 0 ? SIDECAR_MARGIN : 0);
  const { periodSeconds = 0, failureThreshold = 0 } = app.startupProbe ?? {};
  const { rollingUpdate } = find<Deployment>(manifests, 'Deployment').spec.strategy;
  const wrong = [
    grace < least && `terminationGracePeriodSeconds ${grace} is below ${least}`,
    settings.drainDelay >= settings.gracefulTimeout && 'the drain delay leaves no time for requests',
    env.TSUNICORN_DRAIN_DELAY === undefined &&
      'TSUNICORN_DRAIN_DELAY is left to the pod, where a sidecar cannot see it',
    periodSeconds * failureThreshold <= settings.bootTimeout &&
      'the startup probe gives up before TSUNICORN_BOOT_TIMEOUT',
    app.readinessProbe?.httpGet.path !== '/readyz' && 'the readiness probe does not ask /readyz',
    app.livenessProbe?.httpGet.path !== '/livez' && 'the liveness probe fails while the pod drains',
    rollingUpdate.maxUnavailable !== 0 && 'a rollout takes pods away before their successors are ready',
    !app.resizePolicy?.some((p) => p.resourceName === 'cpu' && p.restartPolicy === 'NotRequired') &&
      'a resize restarts',
  ];
  return [
    ...wrong.filter((text) => typeof text === 'string'),
    ...sidecars.flatMap((s) => sidecarTimes(manifests, s, app)),
  ];
}

function sidecarTimes(manifests: readonly Manifest[], sidecar: Container, app: Container): string[] {
  const env = environmentOf(manifests, sidecar);
  const bind = environmentOf(manifests, app).TSUNICORN_BIND;
  const { periodSeconds = 0, failureThreshold = 0 } = app.startupProbe ?? {};
  const admin = app.ports?.find(({ name }) => name === 'admin')?.containerPort;
  const http = sidecar.ports?.find(({ name }) => name === 'http')?.containerPort;
  const socketsOf = (container: Container) =>
    container.volumeMounts?.find(({ mountPath }) => bind?.startsWith(`unix:${mountPath}/`))?.name;
  const wait = Number(env.NGINX_UPSTREAM_WAIT);
  const wrong = [
    sidecar.startupProbe && 'the app waits for the sidecar, which waits for the app',
    !(wait > periodSeconds * failureThreshold) && 'nginx gives up before the app',
    !((sidecar.livenessProbe?.initialDelaySeconds ?? 0) >= wait) && 'nginx is killed while it waits for the app',
    env.NGINX_UPSTREAM !== bind && `nginx looks at ${env.NGINX_UPSTREAM}, the app is at ${bind}`,
    env.NGINX_READYZ !== `http://127.0.0.1:${admin}/readyz` && 'NGINX_READYZ is not the app',
    env.NGINX_PORT !== String(http) && 'NGINX_PORT is not the port of the container',
    (socketsOf(app) === undefined || socketsOf(app) !== socketsOf(sidecar)) && 'the sockets are on no common volume',
  ];
  return wrong.filter((text) => typeof text === 'string').map((text) => `${sidecar.name}: ${text}`);
}
