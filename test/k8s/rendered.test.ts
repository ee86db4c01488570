/** The rendered file is what kubectl makes of the production overlay today. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { type Deployment, find, parse, podOf, readRendered, renderedProduction } from './support/manifests.ts';
import { skipReason } from './support/tools.ts';

suite('rendered', { skip: skipReason() }, () => {
  test('k8s/rendered/production.yaml is fresh (npm run k8s)', async () => {
    assert.equal(readRendered(), await renderedProduction());
  });

  test('three pods and more, each with nginx as a native sidecar, on nodes of their own', async () => {
    const manifests = await parse(readRendered());
    const { minReplicas } = find(manifests, 'HorizontalPodAutoscaler').spec as { minReplicas: number };
    const pod = podOf(manifests);
    assert.equal(minReplicas, 3);
    assert.deepEqual(
      pod.initContainers?.map(({ name, restartPolicy }) => [name, restartPolicy]),
      [['nginx', 'Always']],
    );
    assert.deepEqual(Object.keys(pod.affinity ?? {}), ['podAntiAffinity']);
    assert.equal(find<Deployment>(manifests, 'Deployment').spec.replicas, undefined);
  });
});
