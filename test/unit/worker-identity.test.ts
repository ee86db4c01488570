/** What a worker's environment says of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { identityIn, identityVariables } from '../../src/config/worker-identity.ts';

const OF_SERVER = '[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}';
const third = { slot: 2, id: 19, generation: 4 };

test('what a worker is told, it reads', () => {
  assert.deepEqual(identityIn(identityVariables(third, {}, undefined)), third);
  const alone = { slot: 0, id: 1, generation: 1 };
  for (const text of [undefined, '', 'x', '-1', '1.5']) {
    const env = { TSUNICORN_WORKER_SLOT: text, TSUNICORN_WORKER_ID: text, TSUNICORN_WORKER_GENERATION: text };
    assert.deepEqual(identityIn(env), alone, `${text}`);
  }
});

test('the slot under a name of the user’s', () => {
  assert.equal(identityVariables(third, { pm_id: '7' }, 'pm_id').pm_id, '2');
  assert.deepEqual(Object.keys(identityVariables(third, { pm_id: '7' }, undefined)).sort(), [
    'OTEL_RESOURCE_ATTRIBUTES',
    'TSUNICORN_WORKER_GENERATION',
    'TSUNICORN_WORKER_ID',
    'TSUNICORN_WORKER_SLOT',
  ]);
});

test('service.instance.id is each worker’s own where the user gave none', () => {
  const attributes = (given: string | undefined, id = 19, env = {}): string => {
    const all = { ...env, ...(given !== undefined && { OTEL_RESOURCE_ATTRIBUTES: given }) };
    return identityVariables({ ...third, id }, all, undefined).OTEL_RESOURCE_ATTRIBUTES ?? '';
  };
  const made = `service\\.instance\\.id=${OF_SERVER}-000000000013`;
  for (const [given, before] of [
    [undefined, ''],
    ['', ''],
    [' , ', ''],
    ['service.name=shop', 'service.name=shop,'],
    ['service.name=shop,', 'service.name=shop,'],
    ['a=b, service.instance.idea=x', 'a=b,service.instance.idea=x,'],
    ['my.service.instance.id=x', 'my.service.instance.id=x,'],
  ] as const) {
    assert.match(attributes(given), new RegExp(`^${before}${made}$`), `${given}`);
  }
  for (const given of ['service.instance.id=pod-1', 'a=b,service.instance.id = x', 'service.instance.id=']) {
    assert.equal(attributes(given), given);
  }
  assert.notEqual(attributes(undefined, 1), attributes(undefined, 2));

  // A server that a worker started has inherited that worker's, and the user's all the same.
  const outer = identityVariables({ ...third, id: 7 }, { OTEL_RESOURCE_ATTRIBUTES: 'a=b' }, undefined);
  assert.match(attributes(outer.OTEL_RESOURCE_ATTRIBUTES, 19, outer), new RegExp(`^a=b,${made}$`));
  assert.equal(attributes('service.instance.id=pod-1', 19, outer), 'service.instance.id=pod-1');
});
