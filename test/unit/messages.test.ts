/** What the arbiter believes of what comes over IPC, fuzzed from a seed: an app shares the channel. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { families } from '../../src/arbiter/metrics/families.ts';
import { MetricsStore } from '../../src/arbiter/metrics/store.ts';
import { Pool } from '../../src/arbiter/pool/pool.ts';
import { describeError, type FromWorker, parseFromWorker, seal } from '../../src/messages.ts';
import { exposed, QUIET } from './metrics-kit.ts';
import { SETTINGS } from './pool-story.ts';

const durations = { buckets: [1, 0, 2], seconds: 0.5 };
const report = {
  ...QUIET,
  requests: { GET: { codes: { 200: 3, other: 1 }, ...durations }, other: { codes: {}, ...durations } },
  rejected: { body_too_large: 2 },
  gc: { minor: durations },
};
const appReport = {
  families: [
    ['app_total', 'Help.', 'counter', 'sum'],
    ['app_gauge', '', 'gauge', 'max'],
  ] as const,
  series: [
    [0, '', { a: 'b', c: 1 }],
    [1, '_x', {}],
  ] as const,
  values: [0, 1, 1, 'NaN', 1, null],
};

/** One of each type, with all that is optional and without. */
const GENUINE: readonly FromWorker[] = [
  { type: 'hello', stacks: true, outOfMemory: false },
  { type: 'boot-progress', waitingFor: 'onStartup()' },
  { type: 'boot-failed', reason: 'boom', stack: undefined, fatal: false },
  { type: 'boot-failed', reason: 'boom', stack: 'at x', fatal: true, exit: 'config' },
  { type: 'ready', app: 'app.js', heapSizeLimitBytes: 5e8 },
  { type: 'heartbeat', report },
  { type: 'report', serial: 4, report, more: true },
  { type: 'app-report', serial: 0, report: appReport },
  { type: 'took-over', key: '0/1' },
  { type: 'need-descriptor', key: '0/0' },
  { type: 'memory-full', rssBytes: 1e9, heap: true },
  { type: 'app-ready', ready: false },
  { type: 'replace-me', why: 'received SIGTERM' },
  { type: 'seek-lead' },
  { type: 'resign' },
  { type: 'crashing', reason: 'boom', stack: 'at x' },
];

const NONSENSE: readonly unknown[] = [
  ...[null, -1, 1.5, 1e300, 2 ** 53, '', '1', 'constructor', true, [], [[]], [null], {}, { a: {} }, 'x'.repeat(1000)],
  ...[JSON.parse('{"__proto__":{"polluted":1}}'), { toString: 1, valueOf: 1 }, '\n{"\\', Array(3).fill({})],
];

/** As it comes out of the channel. */
const sent = (message: unknown): unknown => JSON.parse(JSON.stringify({ tsunicorn: message }));

/** mulberry32 */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The message with nonsense in one to three places, or without them, or with places that are not there. */
function garble(message: FromWorker, random: () => number): unknown {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const nonsense = (): unknown => JSON.parse(JSON.stringify(pick(NONSENSE)));
  const root = { message: JSON.parse(JSON.stringify(message)) };
  for (let changes = 1 + Math.floor(random() * 3); changes > 0; changes--) {
    let at: Record<string, unknown> = root;
    let key = 'message';
    while (random() < 0.8 && Object.keys(at[key] ?? {}).length > 0 && typeof at[key] === 'object') {
      at = at[key] as Record<string, unknown>;
      key = pick(Object.keys(at));
    }
    const deed = random();
    if (deed < 0.15) delete at[key];
    else if (deed < 0.3) at[pick(['type', 'constructor', 'a b', '0', '99'])] = nonsense();
    else at[key] = nonsense();
  }
  return root.message;
}

describe('a message from a worker', () => {
  for (const message of GENUINE) {
    it(`is believed as it was sent: ${message.type}`, () => {
      assert.deepEqual(parseFromWorker(JSON.parse(JSON.stringify(seal(message)))), JSON.parse(JSON.stringify(message)));
    });
  }

  it('is none of ours without the envelope', () => {
    for (const raw of ['ready', 5, null, undefined, [], {}, { type: 'ready' }, [{ tsunicorn: 1 }]]) {
      assert.equal(parseFromWorker(raw), undefined);
    }
  });

  for (const [fault, message] of [
    ['type is unknown', null],
    ['type is unknown', { type: 'toString' }],
    ['type is unknown', JSON.parse('{"type":"__proto__"}')],
    ['heartbeat.report is not an object', { type: 'heartbeat', report: null }],
    ['heartbeat.report.served is not a count', { type: 'heartbeat', report: { ...report, served: -1 } }],
    ['heartbeat.report.lag[1] is not a number', { type: 'heartbeat', report: { ...report, lag: [0, '1'] } }],
    [
      'heartbeat.report.rejected has an unknown key',
      { type: 'heartbeat', report: { ...report, rejected: { 'a"': 1 } } },
    ],
    [
      'heartbeat.report.rejected has an unknown key',
      { type: 'heartbeat', report: { ...report, rejected: { a_reason_of_its_own: 1 } } },
    ],
    [
      'heartbeat.report.requests has an unknown key',
      { type: 'heartbeat', report: { ...report, requests: { BREW: { buckets: [], seconds: 0, codes: {} } } } },
    ],
    [
      'heartbeat.report.gc has an unknown key',
      { type: 'heartbeat', report: { ...report, gc: { huge: { buckets: [], seconds: 0 } } } },
    ],
    ['heartbeat.report.lag is too long', { type: 'heartbeat', report: { ...report, lag: new Array(65).fill(0) } }],
    ['boot-failed.exit is not an exit of a failed worker', { ...GENUINE[3], exit: 'ok' }],
    [
      'app-report.report.series[0][2] is not a label',
      { ...GENUINE[7], report: { ...appReport, series: [[0, '', { a: [] }]] } },
    ],
    [
      'app-report.report.values is not a list of the right length',
      { ...GENUINE[7], report: { ...appReport, values: [1] } },
    ],
  ] as const) {
    it(`is refused with the place of the fault: ${fault}`, () => {
      assert.throws(() => parseFromWorker(sent(message)), { name: 'TypeError', message: fault });
    });
  }

  it('harms neither the pool nor the metrics, whatever is in it', async () => {
    const seed = Number(process.env.SEED ?? 7);
    const random = randomFrom(seed);
    const store = new MetricsStore(() => {});
    const pool = new Pool(SETTINGS, random);
    pool.due(0);
    pool.ready(1, 0);
    let believed = 0;
    let refused = 0;
    for (let i = 0; i < 20_000; i++) {
      const garbled = garble(GENUINE[i % GENUINE.length] as FromWorker, random);
      let message: FromWorker | undefined;
      try {
        message = parseFromWorker(sent(garbled));
      } catch (error) {
        assert.ok(error instanceof TypeError && error.message.length < 200, `seed ${seed}, message ${i}: ${error}`);
        refused++;
        continue;
      }
      believed++;
      const why = `seed ${seed}, message ${i}: ${JSON.stringify(garbled)}`;
      assert.doesNotThrow(() => {
        if (message?.type === 'heartbeat' || message?.type === 'report') {
          pool.report(1, message.report);
          store.add({ slot: 0, workerId: 1 }, message.report);
        } else if (message?.type === 'app-report') store.addApp({ slot: 0, workerId: 1 + (i % 3) }, message.report);
        else if (message?.type === 'memory-full') pool.memoryFull(1, message);
      }, why);
    }
    assert.ok(believed > 1_000 && refused > 5_000, `${believed} ${refused}`);
    assert.equal(({} as { polluted?: number }).polluted, undefined);
    const usage = { pressureSeconds: {} } as never;
    const snapshot = { store, pool, usage, queues: new Map(), process, now: 0, date: 0 };
    for (const format of ['text', 'openmetrics'] as const) {
      assert.match(
        await exposed(families(snapshot), format),
        /^tsunicorn_http_requests_total\{method="GET",code="200"\} \d+$/m,
      );
    }
  });
});

describe('what a worker says of an error', () => {
  it('is text, whatever the app made of it', () => {
    const odd = Object.assign(new Error('x'), { message: { a: 1 }, stack: [1, 2] });
    for (const error of [odd, new Error('boom'), 'text', undefined, null, 5, { message: 1 }]) {
      const failed = { type: 'crashing', ...describeError(error) } as const;
      assert.doesNotThrow(() => parseFromWorker(sent(failed)), String(error));
    }
    assert.deepEqual(describeError(odd), { reason: '[object Object]', stack: undefined });
  });
});
