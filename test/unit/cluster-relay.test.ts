import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TOPICS } from '../../src/platform/frames.ts';
import { type ClusterMail, ClusterRelay } from '../../src/worker/standalone/cluster-relay.ts';
import type { MessageHandler } from '../../src/worker-hook.ts';

/** The relay of worker 7 in slot 1, and what it sends and receives. */
function relayOfOne() {
  const sent: { topic: number; message: unknown; slot: number | undefined }[] = [];
  const received: unknown[] = [];
  const handlers = new Map<number, MessageHandler>();
  const mail: ClusterMail = {
    send: (topic, message, slot) => sent.push({ topic, message, slot }),
    on: (topic, handler) => handlers.set(topic, handler),
  };
  const relay = new ClusterRelay(mail, { slot: 1, workerId: 7 });
  relay.open((message) => received.push(message));
  const deliver = (topic: number, message: unknown, slot: number, id: number) =>
    handlers.get(topic)?.(message, { slot, id });
  return { relay, sent, received, deliver };
}

const SIO = { source: '_sio_adapter', nsp: '/' };

const ROUTES: readonly (readonly [what: string, message: unknown, route: object])[] = [
  ['any message', { a: 1 }, { to: 'workers', message: { a: 1 } }],
  ['a string', 'hello', { to: 'workers', message: 'hello' }],
  ['null', null, { to: 'workers', message: null }],
  ["pm2's word", 'ready', { to: 'parent' }],
  ["a message on pm2's bus", { type: 'process:msg', data: {} }, { to: 'parent' }],
  ['a metric for pm2', { type: 'axm:monitor' }, { to: 'parent' }],
  ["Node.js' own", { cmd: 'NODE_CLUSTER', act: 'online' }, { to: 'parent' }],
  ['a forged one of ours', { tsunicorn: { type: 'drain' } }, { to: 'parent' }],
  ['metrics', { type: 'prom-client:getMetricsRes' }, { to: 'primary', part: 'metrics' }],
  ['a connection', { type: 'sticky:connection', data: 'sid' }, { to: 'primary', part: 'sticky' }],
  ['a line for the log', { topic: 'log4js:message', data: '' }, { to: 'primary', part: 'log4js' }],
  [
    'a worker of Socket.IO 0.2 that starts: its number, not its slot',
    { ...SIO, type: 1, data: 2 },
    { to: 'workers', message: { ...SIO, type: 1, data: 7 } },
  ],
  [
    'its answer to the worker that asked',
    { ...SIO, type: 9, data: { requestId: 'r', workerId: 3, sockets: [] } },
    { to: 'workers', message: { ...SIO, type: 9, data: { requestId: 'r', workerId: 3, sockets: [] } }, slot: 2 },
  ],
  ['its question', { ...SIO, type: 8, data: {} }, { to: 'workers', message: { ...SIO, type: 8, data: {} } }],
  [
    'Socket.IO 0.3, which counts by uid',
    { ...SIO, type: 1, uid: 'u' },
    { to: 'workers', message: { ...SIO, type: 1, uid: 'u' } },
  ],
];

for (const [what, message, route] of ROUTES) {
  test(`${what} goes where a primary would pass it on`, () => {
    assert.deepEqual(relayOfOne().relay.routeOf(message), route);
  });
}

test('a message is JSON, unless the primary asks for more or it is a packet of Socket.IO', () => {
  const { relay, sent, received, deliver } = relayOfOne();
  const at = new Date(0);
  relay.send({ to: 'workers', message: { at, left: () => {} } }, false);
  relay.send({ to: 'workers', message: { at } }, true);
  relay.send({ to: 'workers', message: { ...SIO, data: Buffer.from('a') } }, false);
  for (const { topic, message } of sent) deliver(topic, message, 0, 1);
  assert.deepEqual(received, [{ at: at.toISOString() }, { at }, { ...SIO, data: Buffer.from('a') }]);
});

test('an answer of Socket.IO 0.3 goes to the worker that has the adapter, while it lives', () => {
  const { relay, received, deliver } = relayOfOne();
  const answer = { ...SIO, type: 8, uid: 'mine', requesterUid: 'theirs' };
  const to = () => relay.routeOf(answer);
  assert.deepEqual(to(), { to: 'workers', message: answer });
  deliver(TOPICS.cluster, { message: { ...SIO, type: 7, uid: 'theirs' } }, 4, 9);
  assert.deepEqual(to(), { to: 'workers', message: answer, slot: 4 });
  deliver(TOPICS.ended, undefined, 4, 9);
  assert.deepEqual(to(), { to: 'workers', message: answer });
  assert.deepEqual(received.at(-1), { ...SIO, type: 13, uid: 'theirs' }, 'and the other adapters need not wait for it');
});

test('the adapter that counts workers learns which one has ended, and no other program does', () => {
  const { relay, received, deliver } = relayOfOne();
  deliver(TOPICS.ended, undefined, 0, 5);
  assert.deepEqual(received, []);
  relay.routeOf({ ...SIO, type: 1, data: 2 });
  deliver(TOPICS.ended, undefined, 0, 6);
  assert.deepEqual(received, [{ source: '_sio_adapter', type: 3, data: 6 }]);
});
