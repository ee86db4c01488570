/** A worker as the pool sees it: its record and all its transitions. Pure; times in milliseconds. */
import type { Decision, DrainOrder, Lead, PoolSettings, RestartReason, WorkerState } from './decisions.ts';

/** What is wrong from the start shows sooner; a worker that dies later serves most of the time, so needs no backoff. */
export const STABILITY_MS = 5_000;

/** Two heartbeats: a late worker that drains is stuck if it missed them; otherwise it waits for a request. */
const STUCK_MS = 2_000;

/** A transition is ignored in a state that it does not start from, and always once the worker is killed. */
export class PoolWorker {
  readonly workerId: number;
  readonly slot: number;
  readonly startedAt: number;
  readonly #context: PoolContext;
  readonly #settings: PoolSettings;
  #generation: number;
  #state: WorkerState = 'booting';
  #reason: RestartReason | undefined;
  #bootBy: number;
  #waitingFor: string | undefined;
  #readyAt = Number.POSITIVE_INFINITY;
  #lastHeartbeat: number;
  #surplus = false;
  #killAt = Number.POSITIVE_INFINITY;
  /** How long it got no CPU, in this drain until its last heartbeat. */
  #waitedMs = 0;
  #killReason: string | undefined;
  #deathRecorded = false;
  #lead: Lead = 'none';
  #appReady = true;

  constructor(workerId: number, slot: number, now: number, context: PoolContext) {
    this.workerId = workerId;
    this.slot = slot;
    this.startedAt = now;
    this.#context = context;
    this.#settings = context.settings;
    this.#generation = context.workers.generation;
    this.#bootBy = now + context.settings.bootTimeout * 1000;
    this.#lastHeartbeat = now;
    context.decisions.push({ do: 'spawn', workerId, slot });
  }

  /** @returns whether it serves from now on */
  ready(now: number): boolean {
    if (!this.#is('booting')) return false;
    this.#state = 'ready';
    this.#readyAt = now;
    this.#lastHeartbeat = now;
    return true;
  }

  markForReplacement(reason: RestartReason): boolean {
    if (!this.#is('ready')) return false;
    this.#state = 'leaving';
    this.#reason = reason;
    return true;
  }

  drain(drain: DrainOrder, reason = this.#reason): void {
    if (!this.#is('ready', 'leaving')) return;
    this.#state = 'draining';
    this.#reason = reason;
    this.#killAt = drain.by;
    this.#context.decisions.push({ do: 'drain', workerId: this.workerId, ...drain });
  }

  /** It drains by its own decision, after an uncaught exception. */
  failed(now: number): void {
    if (!this.#is('ready', 'leaving')) return;
    this.#state = 'draining';
    this.#reason = 'crash';
    this.#killAt = now + this.#settings.gracefulTimeout * 1000;
  }

  /** Brings the end of its drain forward. One whose time is over is killed and not told. */
  hasten(by: number, why: string, now: number): void {
    if (!this.#is('draining') || this.#killAt <= by) return;
    this.#killAt = by;
    this.#waitedMs = 0;
    if (by > now)
      this.#context.decisions.push({ do: 'drain', workerId: this.workerId, quick: true, drainQueue: true, why, by });
  }

  /** It drains in a slot that is no longer wanted. */
  markSurplus(): void {
    if (this.#is('draining')) this.#surplus = true;
  }

  /** @param reason of its replacement; a booting worker without one is just not wanted any more */
  kill(why: string, reason = this.#reason, stuck = false): void {
    if (this.killed) return;
    this.#killReason = why;
    this.#reason = reason;
    this.#context.decisions.push({ do: 'kill', workerId: this.workerId, why, stuck });
  }

  killIfLate(now: number): void {
    const { at, why, reason } = this.deadline;
    if (now < at) return;
    const stuck = this.#state !== 'draining' || reason === 'stall' || now - this.#lastHeartbeat > STUCK_MS;
    this.kill(why, reason, stuck);
  }

  waitsFor(what: string): void {
    this.#waitingFor = what;
  }

  heartbeat(now: number, waitedMs = 0): void {
    this.#lastHeartbeat = now;
    if (this.#state === 'draining') this.#waitedMs += waitedMs;
  }

  /** How long it got no CPU in the time for its drain. Counts once. */
  takeWaited(): number {
    const waitedMs = this.#waitedMs;
    this.#waitedMs = 0;
    return waitedMs;
  }

  /** Adds time in which it could not run; to a drain until `drainBy` at the latest. */
  extendDeadline(ms: number, now: number, drainBy: number): void {
    this.#lastHeartbeat = Math.min(this.#lastHeartbeat + ms, now);
    this.#bootBy += ms;
    if (this.#state === 'draining') this.#killAt = Math.min(this.#killAt + ms, drainBy);
  }

  /** When it is killed next, and what for. */
  get deadline(): { at: number; why: string; reason?: RestartReason } {
    const { bootTimeout, timeout } = this.#settings;
    if (this.killed) return { at: Number.POSITIVE_INFINITY, why: '' };
    if (this.#state === 'booting') {
      return { at: this.#bootBy, why: lateBoot(bootTimeout, this.#waitingFor), reason: 'boot' };
    }
    const stalledAt = timeout === 0 ? Number.POSITIVE_INFINITY : this.#lastHeartbeat + timeout * 1000;
    if (this.#killAt <= stalledAt) return { at: this.#killAt, why: 'still draining at its deadline' };
    return { at: stalledAt, why: `silent for ${timeout} s (TSUNICORN_TIMEOUT)`, reason: 'stall' };
  }

  /** What its app says of itself: `setReady()`. */
  setAppReady(ready: boolean): void {
    this.#appReady = ready;
  }

  seekLead(): void {
    if (this.#lead === 'none' && this.#is('booting', 'ready', 'leaving')) this.#lead = 'sought';
  }

  takeLead(): void {
    if (this.#lead !== 'sought' || !this.#is('ready', 'leaving')) return;
    this.#lead = 'held';
    this.#context.decisions.push({ do: 'lead', workerId: this.workerId });
  }

  /** It has ended all that it did as the leader. */
  resign(): void {
    this.#lead = 'none';
  }

  /** @returns false if it was recorded before */
  recordDeath(): boolean {
    const first = !this.#deathRecorded;
    this.#deathRecorded = true;
    return first;
  }

  /** A reload was given up: it counts as current. */
  adopt(): void {
    this.#generation = this.#context.workers.generation;
  }

  get state(): WorkerState {
    return this.#state;
  }
  get generation(): number {
    return this.#generation;
  }
  /** It runs older code than the next one would. */
  get outdated(): boolean {
    return this.#generation !== this.#context.workers.generation;
  }
  get reason(): RestartReason | undefined {
    return this.#reason;
  }
  /** Infinity while it boots. */
  get readyAt(): number {
    return this.#readyAt;
  }
  get lastHeartbeat(): number {
    return this.#lastHeartbeat;
  }
  /** Its heartbeats cover the stability period: time in which it is stuck does not count. */
  get stable(): boolean {
    return this.#lastHeartbeat - this.#readyAt >= STABILITY_MS;
  }
  /** It may serve, but would rather not: new connections go to others, where there are any. */
  get appReady(): boolean {
    return this.#appReady;
  }
  get lead(): Lead {
    return this.#lead;
  }
  get surplus(): boolean {
    return this.#surplus;
  }
  get killReason(): string | undefined {
    return this.#killReason;
  }
  get killed(): boolean {
    return this.#killReason !== undefined;
  }

  #is(...states: WorkerState[]): boolean {
    return !this.killed && states.includes(this.#state);
  }
}

export type WorkerView = Pick<PoolWorker, 'workerId' | 'slot' | 'startedAt' | 'state' | 'lead' | 'appReady'>;

/** The workers that run by workerId, in the order of their start, and the generation that is current. */
export class PoolWorkers extends Map<number, PoolWorker> {
  generation = 1;

  /** Without those that were killed. */
  in(...states: WorkerState[]): PoolWorker[] {
    return [...this.values()].filter((w) => states.includes(w.state) && !w.killed);
  }

  /** Workers that accept: ready ones, and those that wait for their replacement. */
  serving(): PoolWorker[] {
    return this.in('ready', 'leaving');
  }

  /** Workers of an older generation still serve. */
  get reloading(): boolean {
    return this.serving().some((w) => w.outdated);
  }
}

/** `tsunicorn check` says the same. */
export function lateBoot(seconds: number, waitingFor: string | undefined): string {
  const cause = waitingFor === undefined ? '' : `: ${waitingFor} has not settled`;
  return `not ready within ${seconds} s (TSUNICORN_BOOT_TIMEOUT)${cause}`;
}

export interface PoolContext {
  /** Of workers that start now. */
  settings: PoolSettings;
  /** What sizing, or a person, wants now. */
  wanted: Pick<PoolSettings, 'workers' | 'bootsAtOnce' | 'maxRss'>;
  readonly workers: PoolWorkers;
  /** Taken by the next `due`. */
  readonly decisions: Decision[];
}
