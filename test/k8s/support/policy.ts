/**
 * The Pod Security Standard "restricted", which includes "baseline", as the admission controller of Kubernetes 1.35
 * judges a pod; and what this project asks for beyond it.
 */
import { type Container, containersOf, type PodSpec } from './manifests.ts';

const VOLUME_TYPES = [
  'configMap',
  'csi',
  'downwardAPI',
  'emptyDir',
  'ephemeral',
  'persistentVolumeClaim',
  'projected',
  'secret',
];
const SYSCTLS = [
  'kernel.shm_rmid_forced',
  'net.ipv4.ip_local_port_range',
  'net.ipv4.ip_unprivileged_port_start',
  'net.ipv4.tcp_syncookies',
  'net.ipv4.ping_group_range',
  'net.ipv4.ip_local_reserved_ports',
  'net.ipv4.tcp_keepalive_time',
  'net.ipv4.tcp_fin_timeout',
  'net.ipv4.tcp_keepalive_intvl',
  'net.ipv4.tcp_keepalive_probes',
  'net.ipv4.tcp_rmem',
  'net.ipv4.tcp_wmem',
];
const SELINUX_TYPES = ['', 'container_t', 'container_init_t', 'container_kvm_t', 'container_engine_t'];

/** What the standard forbids in this pod, a line each. */
export function restrictedViolations(pod: PodSpec): string[] {
  const own = pod.securityContext ?? {};
  return [
    ...['hostNetwork', 'hostPID', 'hostIPC'].filter((field) => pod[field] === true),
    ...contextViolations('pod', own),
    ...((own.sysctls as { name: string }[] | undefined) ?? [])
      .filter(({ name }) => !SYSCTLS.includes(name))
      .map(({ name }) => `sysctl ${name}`),
    ...(pod.volumes ?? []).flatMap(({ name, ...source }) =>
      Object.keys(source)
        .filter((type) => !VOLUME_TYPES.includes(type))
        .map((type) => `volume ${name}: ${type}`),
    ),
    ...containersOf(pod).flatMap((container) => containerViolations(container, pod)),
  ];
}

function containerViolations(container: Container, pod: PodSpec): string[] {
  const { name, securityContext: own = {} } = container;
  const inherited = { ...pod.securityContext, ...own };
  const seccomp = inherited.seccompProfile?.type;
  const wrong = [
    own.privileged === true && 'privileged',
    own.allowPrivilegeEscalation !== false && 'allowPrivilegeEscalation',
    inherited.runAsNonRoot !== true && 'runAsNonRoot',
    inherited.runAsUser === 0 && 'runAsUser 0',
    seccomp !== 'RuntimeDefault' && seccomp !== 'Localhost' && 'seccompProfile',
    !own.capabilities?.drop?.includes('ALL') && 'capabilities are not dropped',
    own.capabilities?.add?.some((capability) => capability !== 'NET_BIND_SERVICE') && 'capabilities are added',
    (own.procMount ?? 'Default') !== 'Default' && 'procMount',
    container.ports?.some(({ hostPort = 0 }) => hostPort !== 0) && 'hostPort',
    probesOf(container).some(({ httpGet }) => httpGet.host) && 'host of a probe',
  ];
  return [...wrong.filter((text) => typeof text === 'string'), ...contextViolations('', own)].map(
    (text) => `${name}: ${text}`,
  );
}

/** What pod and container have in common. */
function contextViolations(subject: string, context: Readonly<Record<string, unknown>>): string[] {
  const selinux = context.seLinuxOptions as { type?: string; user?: string; role?: string } | undefined;
  const windows = context.windowsOptions as { hostProcess?: boolean } | undefined;
  const armor = context.appArmorProfile as { type: string } | undefined;
  const wrong = [
    selinux && (!SELINUX_TYPES.includes(selinux.type ?? '') || selinux.user || selinux.role) && 'seLinuxOptions',
    windows?.hostProcess && 'hostProcess',
    armor?.type === 'Unconfined' && 'appArmorProfile',
  ];
  return wrong.filter((text) => typeof text === 'string').map((text) => `${subject} ${text}`.trim());
}

const probesOf = ({ startupProbe, readinessProbe, livenessProbe }: Container) =>
  [startupProbe, readinessProbe, livenessProbe].filter((probe) => probe !== undefined);

/** What is asked for here beyond the standard. */
export function houseViolations(pod: PodSpec): string[] {
  const wrong = [
    pod.automountServiceAccountToken !== false && 'automountServiceAccountToken',
    !((pod.securityContext?.runAsUser ?? 0) > 0) && 'runAsUser is no number of a user',
  ];
  return [...wrong.filter((text) => typeof text === 'string'), ...containersOf(pod).flatMap(houseRules)];
}

function houseRules({ name, image, lifecycle, resources, securityContext, ...container }: Container): string[] {
  const limits = resources?.limits ?? {};
  const requests = resources?.requests ?? {};
  const tag = /:([^/:@]+)(@.*)?$/.exec(image)?.[1];
  const wrong = [
    securityContext?.readOnlyRootFilesystem !== true && 'readOnlyRootFilesystem',
    !(limits.cpu && limits.memory && requests.cpu && requests.memory) && 'resources',
    // The drain delay is what a preStop hook would be for; with both the pod is late.
    lifecycle !== undefined && 'lifecycle hook',
    tag === 'latest' && 'image tag latest',
    !container.readinessProbe && 'no readinessProbe',
    !container.livenessProbe && 'no livenessProbe',
  ];
  return wrong.filter((text) => typeof text === 'string').map((text) => `${name}: ${text}`);
}
