/** The "restricted" Pod Security Standard, and the rules of this project. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { changed, find, type Manifest, podOf, renderAll } from './support/manifests.ts';
import { houseViolations, restrictedViolations } from './support/policy.ts';
import { skipReason } from './support/tools.ts';

const skip = skipReason();

suite('policy', { skip }, async () => {
  const all = skip ? new Map<string, Manifest[]>() : await renderAll();

  for (const [name, manifests] of all) {
    test(`${name} is restricted`, () => {
      assert.deepEqual(restrictedViolations(podOf(manifests)), []);
      assert.deepEqual(houseViolations(podOf(manifests)), []);
    });
  }

  test('the namespaces of the overlays enforce it', () => {
    for (const [name, manifests] of all) {
      if (!name.startsWith('overlays/')) continue;
      const namespace = manifests.find(({ kind }) => kind === 'Namespace');
      assert.equal(namespace?.metadata.labels?.['pod-security.kubernetes.io/enforce'], 'restricted');
      assert.equal(find(manifests, 'ServiceAccount').automountServiceAccountToken, false);
    }
  });

  const broken: readonly [path: string, value: unknown, says: string][] = [
    ['hostNetwork', true, 'hostNetwork'],
    ['hostPID', true, 'hostPID'],
    ['hostIPC', true, 'hostIPC'],
    ['securityContext.runAsNonRoot', false, 'app: runAsNonRoot'],
    ['securityContext.runAsNonRoot', undefined, 'nginx: runAsNonRoot'],
    ['containers.0.securityContext.runAsNonRoot', false, 'app: runAsNonRoot'],
    ['securityContext.runAsUser', 0, 'app: runAsUser 0'],
    ['initContainers.0.securityContext.runAsUser', 0, 'nginx: runAsUser 0'],
    ['securityContext.seccompProfile', undefined, 'app: seccompProfile'],
    ['initContainers.0.securityContext.seccompProfile', { type: 'Unconfined' }, 'nginx: seccompProfile'],
    ['securityContext.sysctls', [{ name: 'net.core.somaxconn', value: '9' }], 'sysctl net.core.somaxconn'],
    ['securityContext.seLinuxOptions', { type: 'spc_t' }, 'pod seLinuxOptions'],
    ['securityContext.windowsOptions', { hostProcess: true }, 'pod hostProcess'],
    ['containers.0.securityContext.appArmorProfile', { type: 'Unconfined' }, 'app: appArmorProfile'],
    ['volumes.0', { name: 'host', hostPath: { path: '/' } }, 'volume host: hostPath'],
    ['volumes.0', { name: 'share', nfs: { server: 's', path: '/' } }, 'volume share: nfs'],
    ['containers.0.securityContext.privileged', true, 'app: privileged'],
    ['containers.0.securityContext.allowPrivilegeEscalation', undefined, 'app: allowPrivilegeEscalation'],
    ['containers.0.securityContext.capabilities.drop', ['NET_RAW'], 'app: capabilities are not dropped'],
    ['containers.0.securityContext.capabilities.add', ['SYS_PTRACE'], 'app: capabilities are added'],
    ['containers.0.securityContext.procMount', 'Unmasked', 'app: procMount'],
    ['containers.0.ports.0.hostPort', 10464, 'app: hostPort'],
    ['containers.0.livenessProbe.httpGet.host', '10.0.0.1', 'app: host of a probe'],
    ['initContainers.0.securityContext', undefined, 'nginx: capabilities are not dropped'],
  ];
  const unlike: typeof broken = [
    ['automountServiceAccountToken', true, 'automountServiceAccountToken'],
    ['securityContext.runAsUser', undefined, 'runAsUser is no number of a user'],
    ['containers.0.securityContext.readOnlyRootFilesystem', false, 'app: readOnlyRootFilesystem'],
    ['initContainers.0.resources.limits.memory', undefined, 'nginx: resources'],
    ['containers.0.lifecycle', { preStop: { sleep: { seconds: 5 } } }, 'app: lifecycle hook'],
    ['containers.0.image', 'registry:5000/app:latest', 'app: image tag latest'],
    ['containers.0.livenessProbe', undefined, 'app: no livenessProbe'],
    ['initContainers.0.readinessProbe', undefined, 'nginx: no readinessProbe'],
  ];
  const pod = () => podOf(all.get('overlays/production') ?? []);
  for (const [judge, cases] of [[restrictedViolations, broken] as const, [houseViolations, unlike] as const]) {
    for (const [path, value, says] of cases) {
      test(`${path} ${JSON.stringify(value) ?? 'left out'} is found`, () => {
        const found = judge(changed(pod(), path, value));
        assert.ok(found.includes(says), found.join('\n'));
      });
    }
  }
});
