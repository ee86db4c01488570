/**
 * Tells a pool a story: events at their times, and between them what the arbiter's loop would do, which is to call
 * `due` at each deadline and at least every second. Each row states the outcome.
 */
import assert from 'node:assert/strict';
import type { Decision, PoolSettings } from '../../src/arbiter/pool/decisions.ts';
import { Pool } from '../../src/arbiter/pool/pool.ts';

const TICK_MS = 1_000;
const MIB = 2 ** 20;

export const SETTINGS: PoolSettings = {
  workers: 2,
  bootsAtOnce: 64,
  maxRequests: 0,
  maxRequestsJitter: 0,
  maxWorkerLifetime: 'off',
  maxRss: undefined,
  timeout: 30,
  bootTimeout: 60,
  gracefulTimeout: 25,
  drainDelay: 0,
  crashLimit: 5,
  reload: false,
};

/**
 * Time in milliseconds, events, outcome. Events are separated by `, ` and happen before `due` is called once:
 * `ready N`, `deaf N` (it does not confirm that it took over), `exit N` (a crash, or the end of a drain), `oom N`, `fatal N`
 * (the app cannot be loaded), `silent N` (its last heartbeat is now), `speaks N` (its heartbeats go on), `waited N MS` (for a CPU), `served N COUNT`, `holds N
 * MIB` (three reports), `limit MIB` (of resident memory), `full N MIB` (no memory is left in the group, and it has so
 * much), `heap N MIB` (none in its heap), `leave N`, `seek N` (it would lead), `resign N`, `broke N`, `HUP`, `TERM`, `INT`, `WINCH`, `size N`, `frozen` (the
 * arbiter had no CPU since the row before), `?` (what /readyz says), or nothing.
 *
 * The outcome is what events answered and what was decided, in order. What fell due since the row before comes first,
 * with its time: `+1500 kill 2`.
 */
export type Row = readonly [at: number, events: string, outcome: string];

export function tell(rows: readonly Row[], settings: Partial<PoolSettings> = {}, random = () => 0): void {
  const story = new Story({ ...SETTINGS, ...settings }, random);
  const told = rows.map(([at, events]): Row => [at, events, story.at(at, events).join(', ')]);
  assert.deepEqual(told, rows);
}

/** Rows that start workers 1 to `n` in slots 0 to n - 1 at time 0. */
export function started(n: number): Row[] {
  const ids = Array.from({ length: n }, (_, i) => i + 1);
  return [
    [0, '', ids.map((workerId) => `spawn ${workerId}@${workerId - 1}`).join(', ')],
    [0, ids.map((workerId) => `ready ${workerId}`).join(', '), ''],
  ];
}

export class Story {
  readonly pool: Pool;
  readonly #silent = new Set<number>();
  readonly #deaf = new Set<number>();
  /** What `due` is told if it asks. */
  readonly #waited = new Map<number, number>();
  #now = 0;

  constructor(settings: PoolSettings, random = () => 0) {
    this.pool = new Pool(settings, random);
  }

  /** What fell due before `time`, what the events answered, what is due then; in words. */
  at(time: number, events: string): string[] {
    const out = events.includes('frozen') ? [] : this.#wait(time);
    this.#now = time;
    for (const event of events.split(', ')) out.push(...this.#happen(event));
    out.push(...this.#due().map(inWords));
    return out;
  }

  /** What is due at `time`, with the reasons. */
  decisions(time: number, events: string): Decision[] {
    this.#wait(time);
    this.#now = time;
    for (const event of events.split(', ')) this.#happen(event);
    return this.#due();
  }

  #wait(until: number): string[] {
    const out: string[] = [];
    for (;;) {
      this.#now = Math.min(this.#now + TICK_MS, this.pool.nextDeadline(this.#now));
      if (this.#now >= until) return out;
      const decisions = this.#due();
      out.push(...decisions.map((d) => `+${this.#now} ${inWords(d)}`));
      assert.ok(this.pool.nextDeadline(this.#now) > this.#now, `a deadline of ${this.#now} is left after due()`);
    }
  }

  #due(): Decision[] {
    for (const { workerId, state } of this.pool.workers) {
      if (state !== 'booting' && !this.#silent.has(workerId)) this.pool.heartbeat(workerId, this.#now);
    }
    const decisions = this.pool.due(this.#now, (workerId) => this.#waited.get(workerId) ?? 0);
    this.#waited.clear();
    for (const d of decisions)
      if (d.do === 'take-over' && !this.#deaf.has(d.workerId)) this.pool.tookOver(d.workerId, d.slot);
    return decisions;
  }

  /** What is worth telling of it. */
  #happen(event: string): string[] {
    const { pool } = this;
    const now = this.#now;
    const [what = '', ...numbers] = event.split(' ');
    const [n = Number.NaN, amount = Number.NaN] = numbers.map(Number);
    const actions: Record<string, () => void> = {
      ready: () => pool.ready(n, now),
      deaf: () => void this.#deaf.add(n),
      waited: () => void this.#waited.set(n, amount),
      served: () => pool.report(n, { served: amount, rssBytes: 0 }),
      holds: () => {
        for (let i = 0; i < 3; i++) pool.report(n, { served: 0, rssBytes: amount * MIB });
      },
      limit: () => pool.sized({ workers: pool.target, maxRss: n * MIB, bootsAtOnce: 64 }),
      full: () => pool.memoryFull(n, { rssBytes: amount * MIB, heap: false }),
      heap: () => pool.memoryFull(n, { rssBytes: amount * MIB, heap: true }),
      leave: () => pool.leave(n),
      seek: () => pool.seekLead(n),
      resign: () => pool.resign(n),
      broke: () => pool.crashing(n, 'thrown on purpose', now),
      silent: () => {
        pool.heartbeat(n, now);
        this.#silent.add(n);
      },
      speaks: () => {
        pool.heartbeat(n, now);
        this.#silent.delete(n);
      },
      HUP: () => pool.reload(),
      TERM: () => pool.stop(now),
      INT: () => pool.quit(now),
      WINCH: () => pool.park(),
      size: () => pool.resize(n),
      frozen: () => {},
      '': () => {},
    };
    if (what === '?') {
      const { ready, reason } = pool.readiness();
      return [`${ready ? 'ready' : 'not ready'}: ${reason}`];
    }
    if (what === 'exit' || what === 'fatal' || what === 'oom') {
      const why = what === 'fatal' ? 'no such app' : 'exit code 1';
      const exit = { why, fatal: what === 'fatal', oom: what === 'oom' };
      return [`ended ${pool.exited(n, exit, now) ?? 'as wanted'}`];
    }
    const action = actions[what];
    assert.ok(action, `no such event: ${event}`);
    action();
    return [];
  }
}

export function inWords(decision: Decision): string {
  switch (decision.do) {
    case 'spawn':
      return `spawn ${decision.workerId}@${decision.slot}`;
    case 'close-connections':
      return `closing ${decision.workerId}`;
    case 'drain':
      return `drain ${decision.workerId}${decision.quick ? ' quick' : ''}`;
    case 'kill':
      return `kill ${decision.workerId}`;
    case 'take-over':
      return `take-over ${decision.slot} by ${decision.workerId}`;
    case 'hand-back':
      return `hand-back ${decision.slot} by ${decision.workerId}`;
    case 'lead':
      return `lead ${decision.workerId}`;
    case 'collect-garbage':
      return `collect-garbage ${decision.workerId}`;
    case 'recycle':
      return `recycle ${decision.workerId}${decision.soon ? ' soon' : ''}`;
    case 'warn':
      return 'warn';
    case 'release-holds':
      return 'release-holds';
    case 'release-listeners':
      return 'release';
    case 'give-up-reload':
      return 'give up';
    case 'halt':
      return `halt ${decision.exit}`;
    default:
      return decision satisfies never;
  }
}
