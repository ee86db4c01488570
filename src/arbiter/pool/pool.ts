/**
 * The worker pool as pure state: events go in with their time, `due(now)` gives back what is to be done. No I/O, no
 * clock of its own, so every rule of supervision is tested by table. Times are milliseconds of a monotonic clock.
 */
import type { ServiceState } from '../../platform/notify.ts';
import { Deadlines, type WaitedMs } from './deadlines.ts';
import type { Decision, Ending, PoolSettings, RestartReason, WorkerView } from './decisions.ts';
import { Failover } from './failover.ts';
import { Failures } from './failures.ts';
import { Lifecycle } from './lifecycle.ts';
import { Reconciler } from './reconciler.ts';
import { Recycling, type Short, type Wear } from './recycling.ts';
import { RestartPolicy } from './restart-policy.ts';
import { PoolWorkers } from './worker.ts';

export class Pool {
  readonly #settings: PoolSettings;
  readonly #members = new PoolWorkers();
  readonly #covers = new Failover();
  readonly #crashes: RestartPolicy;
  readonly #deadlines: Deadlines;
  readonly #stage: Lifecycle;
  readonly #staff: Reconciler;
  readonly #failures: Failures;
  readonly #recycling: Recycling;
  /** From HUP until every worker that serves is of the new generation, and one does. */
  #reloading = false;
  #started = false;
  readonly #pending: Decision[] = [];

  /** @param random as Math.random, for what must not happen to all workers at once */
  constructor(settings: PoolSettings, random: () => number) {
    this.#settings = settings;
    this.#crashes = new RestartPolicy(settings.crashLimit);
    this.#deadlines = new Deadlines(settings);
    this.#stage = new Lifecycle(settings, this.#members, this.#deadlines);
    this.#staff = new Reconciler(settings, this.#members, this.#crashes, this.#stage);
    this.#failures = new Failures({
      settings,
      members: this.#members,
      crashes: this.#crashes,
      staff: this.#staff,
      stage: this.#stage,
      pending: this.#pending,
    });
    this.#recycling = new Recycling(settings, this.#members, random);
  }

  // --- what happened ---

  ready(workerId: number, now: number): void {
    const member = this.#members.get(workerId);
    if (member?.state !== 'booting') return;
    this.#covers.opened(member.slot); // it listens, also if it has been killed meanwhile
    if (member.killed) return;
    Object.assign(member, { state: 'ready', readyAt: now, lastBeat: now });
    this.#crashes.booted();
    this.#noteStart();
    if (this.#stage.closing) this.#pending.push({ do: 'close-connections', workerId });
  }

  /** What the boot of this worker waits for from now on. */
  waits(workerId: number, what: string): void {
    const member = this.#members.get(workerId);
    if (member) member.waitingFor = what;
  }

  beat(workerId: number, now: number): void {
    const member = this.#members.get(workerId);
    if (member) member.lastBeat = now;
  }

  /** The worker accepts on the sockets of this slot, as it was asked to. */
  covers(workerId: number, slot: number): void {
    this.#covers.confirmed(workerId, slot);
  }

  /** The worker says how worn it is. */
  report(workerId: number, wear: Wear): void {
    const member = this.#members.get(workerId);
    if (member) this.#recycling.report(member, wear);
  }

  /** The worker lets new requests wait, as there is no memory for them. */
  full(workerId: number, short: Short): void {
    const member = this.#members.get(workerId);
    if (member) this.#recycling.full(member, short);
  }

  /** The worker asked to be replaced; it goes on serving until then. */
  leave(workerId: number, reason: RestartReason): void {
    const member = this.#members.get(workerId);
    if (member?.state === 'ready') Object.assign(member, { state: 'leaving', reason });
  }

  /** The worker drains by its own decision, after an uncaught exception. */
  broke(workerId: number, why: string, now: number): void {
    const member = this.#members.get(workerId);
    if (!member || member.state === 'draining' || member.state === 'booting') return;
    this.#failures.died(member, why, now);
    Object.assign(member, { state: 'draining', reason: 'crash', killAt: now + this.#settings.gracefulTimeout * 1000 });
  }

  /** Answers why the worker had to be replaced; undefined where it was not wanted any more. */
  exited(workerId: number, ending: Ending, now: number): RestartReason | undefined {
    const member = this.#members.get(workerId);
    if (!member) return undefined;
    this.#members.delete(workerId);
    this.#covers.gone(workerId);
    if (this.stopping) return undefined;
    if (member.state === 'booting') {
      // It was not wanted any more, or is just spawned again.
      if (ending.interrupted || (member.killed && member.reason === undefined)) return undefined;
      this.#failures.bootFailed(member, { ...ending, why: member.killedFor ?? ending.why }, this.#started, now);
      return ending.oom ? 'oom' : 'boot';
    }
    if (ending.oom) {
      if (member.state !== 'draining') this.#failures.died(member, ending.why, now);
      return 'oom';
    }
    const reason = member.state === 'draining' || member.killed ? member.reason : 'crash';
    if (reason === 'crash' || reason === 'stall') this.#failures.died(member, ending.why, now);
    return reason;
  }

  /** HUP, with the number of workers that sizing wants now. */
  reload(workers = this.#settings.workers): void {
    if (this.stopping) return;
    if (this.#stage.parked) this.#stage.serve();
    this.#staff.generation++;
    this.#staff.target = workers;
    this.#reloading = true;
    this.#crashes.forgive();
  }

  /** Never below one. */
  resize(target: number): void {
    this.#staff.target = Math.max(1, target);
    this.#crashes.cut(this.target);
    this.#noteStart();
  }

  /** Sizing came to another result. */
  sized({ workers, maxRss, bootsAtOnce }: Pick<PoolSettings, 'workers' | 'maxRss' | 'bootsAtOnce'>): void {
    this.resize(workers);
    this.#recycling.limitRss(maxRss);
    this.#staff.bootsAtOnce = bootsAtOnce;
  }

  /** TERM. A second one changes nothing. */
  stop(now: number): void {
    if (!this.stopping) this.#stage.stop(now, this.#pending);
  }

  /** INT, QUIT. A second one stops at once. */
  quit(now: number): void {
    this.#stage.quit(now);
  }

  /** WINCH: no workers until the next reload. */
  park(): void {
    if (this.stopping) return;
    this.#stage.park();
    this.#reloading = false;
  }

  // --- what it looks like ---

  get target(): number {
    return this.#staff.target;
  }

  get stopping(): boolean {
    return this.#stage.stopping;
  }

  get workers(): readonly WorkerView[] {
    return [...this.#members];
  }

  /** For `/readyz`; the reason is for people. */
  readiness(): { ready: boolean; reason: string } {
    if (this.stopping) return { ready: false, reason: 'draining' };
    if (this.#stage.parked) return { ready: false, reason: 'workers are parked (SIGWINCH); SIGHUP starts them' };
    const ready = this.#members.serving().length;
    if (!this.#started) return { ready: false, reason: `starting: ${ready} of ${this.target} workers are ready` };
    if (ready === 0) return { ready: false, reason: 'no worker is ready' };
    return { ready: true, reason: `${ready} of ${this.target} workers are ready` };
  }

  /** For a service manager. */
  get serviceState(): ServiceState {
    if (this.stopping) return 'stopping';
    if (!this.#started) return 'starting';
    return this.#reloading ? 'reloading' : 'ready';
  }

  // --- what is to be done ---

  /** @param waitedMs is asked about workers that are late: since their last beat, or since it was asked before */
  due(now: number, waitedMs: WaitedMs = () => 0): Decision[] {
    const out = this.#pending.splice(0);
    this.#deadlines.excuse(this.#members, now, waitedMs);
    this.#deadlines.killLate(this.#members, now, out);
    this.#failures.due(now);
    out.push(...this.#pending.splice(0));
    if (this.#stage.serving) {
      this.#recycling.due(now, out);
      this.#staff.manage(now, out);
    } else {
      this.#stage.advance(now, out);
    }
    const serving = this.#members.serving();
    if (!this.#stage.released) this.#covers.arrange(serving, now, out);
    if (serving.length > 0 && serving.every((m) => m.generation === this.#staff.generation)) this.#reloading = false;
    return out;
  }

  /** When `due` has to be called next at the latest; Infinity where nothing is planned. */
  nextDeadline(now: number): number {
    let next = Math.min(this.#stage.ends, this.#deadlines.next(this.#members));
    if (!this.#stage.released) next = Math.min(next, this.#covers.nextDeadline(this.#members.serving(), now));
    if (!this.#stage.serving) return next;
    return Math.min(next, this.#staff.nextDeadline(now), this.#recycling.nextDeadline());
  }

  #noteStart(): void {
    if (this.#members.serving().length >= this.target) this.#started = true;
  }
}
