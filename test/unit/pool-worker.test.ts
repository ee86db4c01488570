/** A worker's record: each transition from each state, and that a worker that was killed takes none. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Decision, WorkerState } from '../../src/arbiter/pool/decisions.ts';
import { PoolWorker, PoolWorkers, STABILITY_MS } from '../../src/arbiter/pool/worker.ts';
import { inWords, SETTINGS } from './pool-story.ts';

const DRAIN = { why: 'told to', by: 9_000, quick: false, drainQueue: true };

const EVENTS: Readonly<Record<string, (w: PoolWorker) => unknown>> = {
  ready: (w) => w.ready(2_000),
  markForReplacement: (w) => w.markForReplacement('rss'),
  drain: (w) => w.drain(DRAIN, 'resize'),
  failed: (w) => w.failed(9_000),
  hasten: (w) => w.hasten(4_000, 'sooner', 3_000),
  hastenNow: (w) => w.hasten(3_000, 'now', 3_000),
  markSurplus: (w) => w.markSurplus(),
  kill: (w) => w.kill('late', 'stall', true),
};

const STATES: Readonly<Record<WorkerState, (w: PoolWorker) => void>> = {
  booting: () => {},
  ready: (w) => w.ready(1_000),
  leaving: (w) => {
    w.ready(1_000);
    w.markForReplacement('lifetime');
  },
  draining: (w) => {
    w.ready(1_000);
    w.drain(DRAIN, 'reload');
  },
};

/** What each event makes of each state: `state reason`, and what is decided. A `-` is no change. */
const TABLE: readonly (readonly [event: string, ...outcomes: [string, string, string, string]])[] = [
  //                   booting                 ready                    leaving                  draining
  ['ready', 'ready', '-', '-', '-'],
  ['markForReplacement', '-', 'leaving rss', '-', '-'],
  ['drain', '-', 'draining resize: drain 7', 'draining resize: drain 7', '-'],
  ['failed', '-', 'draining crash', 'draining crash', '-'],
  ['hasten', '-', '-', '-', 'draining reload: drain 7 quick'],
  ['hastenNow', '-', '-', '-', 'draining reload by 3000'],
  ['markSurplus', '-', '-', '-', 'draining reload surplus'],
  [
    'kill',
    'booting stall killed: kill 7',
    'ready stall killed: kill 7',
    'leaving stall killed: kill 7',
    'draining stall killed: kill 7',
  ],
];

interface Fixture {
  readonly worker: PoolWorker;
  readonly decisions: Decision[];
}

function workerIn(state: WorkerState): Fixture {
  const decisions: Decision[] = [];
  const settings = { ...SETTINGS, timeout: 0 };
  const worker = new PoolWorker(7, 0, 0, { settings, wanted: settings, workers: new PoolWorkers(), decisions });
  STATES[state](worker);
  decisions.splice(0);
  return { worker, decisions };
}

/** All that can be seen of it. */
function seen({ state, reason, killed, surplus, killReason, readyAt, lastHeartbeat, ...rest }: PoolWorker, by: number) {
  return { state, reason, killed, surplus, killReason, readyAt, lastHeartbeat, by, ...rest };
}

const look = (w: PoolWorker) => seen(w, w.deadline.at);

function outcome(before: ReturnType<typeof look>, { worker, decisions }: Fixture): string {
  const after = look(worker);
  const decided = decisions.map(inWords).join(', ');
  if (decided === '' && JSON.stringify(after) === JSON.stringify(before)) return '-';
  const { state, reason, killed, surplus, by } = after;
  const words = [state, reason, killed && 'killed', surplus && 'surplus', by === 3_000 && `by ${by}`];
  return `${words.filter(Boolean).join(' ')}${decided && `: ${decided}`}`;
}

describe('a worker', () => {
  const states = Object.keys(STATES) as WorkerState[];
  for (const [event, ...outcomes] of TABLE) {
    it(`${event}: ${outcomes.join(' | ')}`, () => {
      const found = states.map((state) => {
        const fixture = workerIn(state);
        const before = look(fixture.worker);
        EVENTS[event]?.(fixture.worker);
        return outcome(before, fixture);
      });
      assert.deepEqual(found, outcomes);
    });
  }

  it('that was killed changes no more, whatever happens', () => {
    assert.deepEqual(
      TABLE.map(([event]) => event),
      Object.keys(EVENTS),
    );
    for (const state of states) {
      for (const [event, happens] of Object.entries(EVENTS)) {
        const fixture = workerIn(state);
        fixture.worker.kill('silent', 'stall');
        fixture.decisions.splice(0);
        const before = look(fixture.worker);
        happens(fixture.worker);
        assert.equal(outcome(before, fixture), '-', `${event} of a killed worker that was ${state}`);
      }
    }
  });

  it('has no field that can be assigned', () => {
    const { worker } = workerIn('ready');
    for (const field of [
      'state',
      'generation',
      'outdated',
      'deadline',
      'reason',
      'readyAt',
      'lastHeartbeat',
      'stable',
      'surplus',
      'killed',
    ]) {
      assert.throws(() => Object.assign(worker, { [field]: 'draining' }), TypeError, field);
    }
  });

  it('is stable once its heartbeats cover the stability period', () => {
    const { worker } = workerIn('ready');
    worker.heartbeat(1_000 + STABILITY_MS - 1);
    assert.equal(worker.stable, false);
    worker.heartbeat(1_000 + STABILITY_MS);
    assert.equal(worker.stable, true);
  });

  it('dies once', () => {
    const { worker } = workerIn('ready');
    assert.deepEqual([worker.recordDeath(), worker.recordDeath()], [true, false]);
  });
});
