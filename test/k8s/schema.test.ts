/** Everything that is rendered is valid, by the schemas of its kinds. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { changed, find, folders, type Manifest, parse, ROOT, renderAll } from './support/manifests.ts';
import { allSchemaErrors, schemaErrors } from './support/schema.ts';
import { skipReason } from './support/tools.ts';

const skip = skipReason();

suite('schemas', { skip }, async () => {
  const all = skip ? new Map<string, Manifest[]>() : await renderAll();
  const production = all.get('production + all') ?? [];

  test('every overlay and every component is looked at', () => {
    assert.equal(all.size, folders('overlays').length + folders('components').length + 1);
    const kinds = new Set(production.map(({ kind }) => kind));
    for (const kind of ['HTTPRoute', 'Ingress', 'PodMonitor', 'PrometheusRule', 'Namespace'])
      assert.ok(kinds.has(kind));
  });

  for (const [name, manifests] of all) {
    test(`${name} is valid`, async () => {
      assert.ok(manifests.length >= 5);
      assert.deepEqual(await allSchemaErrors(manifests), []);
    });
  }

  test('what docs/several-workers.md shows for once among several pods is valid', async () => {
    const text = readFileSync(join(ROOT, 'docs/several-workers.md'), 'utf8');
    const blocks = [...text.matchAll(/^```yaml\n(apiVersion:.*?)^```$/gms)].map(([, block = '']) => block);
    const manifests = (await Promise.all(blocks.map(parse))).flat();
    assert.deepEqual(manifests.map(({ kind }) => kind).toSorted(), ['CronJob', 'Role', 'RoleBinding']);
    assert.deepEqual(await allSchemaErrors(manifests), []);
  });

  const container = 'spec.template.spec.containers.0';
  const mistakes: readonly [kind: string, path: string, value: unknown, says: RegExp][] = [
    ['Deployment', `${container}.imagePullPolice`, 'Always', /containers\.0\.imagePullPolice is not in the schema/],
    ['Deployment', 'spec.terminationGracePeriodSeconds', 30, /terminationGracePeriodSeconds is not in the schema/],
    ['Deployment', 'spec.minReadySeconds', '5', /minReadySeconds must be integer/],
    ['Deployment', `${container}.imagePullPolicy`, 'Sometimes', /imagePullPolicy must be equal to one of/],
    ['Deployment', `${container}.resources.limits.memory`, 'much', /limits\/memory .*quantity/],
    ['Deployment', 'spec.selector', undefined, /must have required property selector/],
    ['Service', 'spec.ports.0.targetPorts', 'http', /targetPorts is not in the schema/],
    ['HorizontalPodAutoscaler', 'spec.minReplica', 3, /minReplica is not in the schema/],
    ['NetworkPolicy', 'spec.ingress.0.form', [], /ingress\.0\.form is not in the schema/],
    ['HTTPRoute', 'spec.hosts', ['a.example'], /spec\.hosts is not in the schema/],
    ['PodMonitor', 'spec.endpoints', [], /spec\.endpoints is not in the schema/],
    ['PrometheusRule', 'spec.groups.0.rules.0.expression', 'up', /expression is not in the schema/],
  ];
  for (const [kind, path, value, says] of mistakes) {
    test(`${kind} with ${path} ${JSON.stringify(value) ?? 'left out'} is found`, async () => {
      assert.match((await schemaErrors(changed(find(production, kind), path, value))).join('\n'), says);
    });
  }

  test('a kind or a version that there is not is found', async () => {
    const [service] = structuredClone(production.filter(({ kind }) => kind === 'Service'));
    assert.match((await schemaErrors({ ...service!, kind: 'Servise' })).join(), /v1 has no Servise/);
    assert.match((await schemaErrors({ ...service!, apiVersion: 'v3' })).join(), /v3 has no Service/);
  });
});
