/** The pool as pure state: events go in with their time (monotonic, in milliseconds), `due` returns what to do. */
import type { ServiceState } from '../../platform/notify.ts';
import type { Decision, PoolSettings, RestartReason } from './decisions.ts';
import { Failover, silent } from './failover.ts';
import { Leadership } from './leadership.ts';
import { Lifecycle } from './lifecycle.ts';
import { Reconciler } from './reconciler.ts';
import { type MemoryFull, Recycling, type Wear } from './recycling.ts';
import { type PoolExit, RestartPolicy } from './restart-policy.ts';
import { type PoolContext, PoolWorkers, type WorkerView } from './worker.ts';

/** A longer gap between two calls of `due` means that the arbiter was suspended or starved: it ticks every second. */
const STARVED_MS = 2_000;

export class Pool {
  readonly #decisions: Decision[] = [];
  readonly #workers = new PoolWorkers();
  readonly #context: PoolContext;
  readonly #failover = new Failover(this.#decisions);
  readonly #leadership: Leadership;
  readonly #lifecycle: Lifecycle;
  readonly #policy: RestartPolicy;
  readonly #reconciler: Reconciler;
  readonly #recycling: Recycling;
  #started = false;
  #lastDue: number | undefined;
  /** From HUP until every worker that serves is of the new generation, and one does. */
  #reloading = false;

  /** @param random like Math.random; spreads what must not happen to all workers at once */
  constructor(settings: PoolSettings, random: () => number) {
    this.#context = { settings, wanted: settings, workers: this.#workers, decisions: this.#decisions };
    this.#leadership = new Leadership(this.#context);
    this.#lifecycle = new Lifecycle(this.#context);
    this.#policy = new RestartPolicy(this.#context, this.#lifecycle);
    this.#reconciler = new Reconciler(this.#context, this.#policy, this.#lifecycle);
    this.#recycling = new Recycling(this.#context, random);
  }

  ready(workerId: number, now: number): void {
    const worker = this.#workers.get(workerId);
    if (worker?.state !== 'booting') return;
    this.#failover.opened(worker.slot); // it listens, even if it has been killed meanwhile
    if (!worker.ready(now)) return;
    this.#policy.booted();
    this.#noteStart();
    if (this.#lifecycle.phase === 'closing') this.#decisions.push({ do: 'close-connections', workerId });
  }

  /** Connections may wait there already, so a neighbour accepts until the slot has a worker. */
  listensAlready(slot: number): void {
    this.#failover.opened(slot);
  }

  waits(workerId: number, what: string): void {
    this.#workers.get(workerId)?.waitsFor(what);
  }

  /** @param waitedMs how long it got no CPU since the one before */
  heartbeat(workerId: number, now: number, waitedMs = 0): void {
    this.#workers.get(workerId)?.heartbeat(now, waitedMs);
  }

  tookOver(workerId: number, slot: number): void {
    this.#failover.confirmed(workerId, slot);
  }

  report(workerId: number, wear: Wear): void {
    this.#recycling.report(this.#workers.get(workerId), wear);
  }

  /** The worker holds new requests for want of memory. */
  memoryFull(workerId: number, full: MemoryFull): void {
    this.#recycling.memoryFull(this.#workers.get(workerId), full);
  }

  /** The app of the worker says whether it is ready. @returns whether it serves, so that this has an effect */
  setReady(workerId: number, ready: boolean): boolean {
    const worker = this.#workers.get(workerId);
    const changed = worker?.appReady !== ready;
    worker?.setAppReady(ready);
    return changed && this.#workers.serving().some((w) => w === worker);
  }

  /** The worker would run what must run once. */
  seekLead(workerId: number): void {
    this.#workers.get(workerId)?.seekLead();
  }

  /** Another worker may lead. */
  resign(workerId: number): void {
    this.#workers.get(workerId)?.resign();
  }

  /** The worker asked to be replaced; it serves until then. */
  leave(workerId: number): void {
    this.#workers.get(workerId)?.markForReplacement('reload');
  }

  /** The worker drains by its own decision, after an uncaught exception. */
  crashing(workerId: number, why: string, now: number): void {
    const worker = this.#workers.serving().find((w) => w.workerId === workerId);
    if (!worker) return;
    this.#policy.died(worker, why, now);
    worker.failed(now);
  }

  /** @returns why the worker must be replaced, if it must */
  exited(workerId: number, exit: PoolExit, now: number): RestartReason | undefined {
    const worker = this.#workers.get(workerId);
    this.#workers.delete(workerId);
    this.#failover.gone(workerId);
    return worker && !this.stopping ? this.#policy.exited(worker, exit, this.#started, now) : undefined;
  }

  /** HUP, with the number of workers that sizing wants now. Workers that run keep to the settings of their start. */
  reload(settings = this.#context.settings): void {
    if (this.stopping) return;
    this.#lifecycle.enter('serving');
    this.#workers.generation++;
    this.#context.settings = settings;
    this.#context.wanted = { ...this.#context.wanted, workers: settings.workers };
    this.#reloading = true;
    this.#policy.reset();
  }

  /** Never below one. */
  resize(target: number): void {
    this.sized({ ...this.#context.wanted, workers: target });
  }

  sized(wanted: PoolContext['wanted']): void {
    this.#context.wanted = { ...wanted, workers: Math.max(1, wanted.workers) };
    this.#policy.dropSlots(this.target);
    this.#noteStart();
  }

  /** TERM. A second one changes nothing. */
  stop(now: number): void {
    if (!this.stopping) this.#lifecycle.stop(now);
  }

  /** INT, QUIT. A second one stops at once. */
  quit(now: number): void {
    this.#lifecycle.quit(now);
  }

  /** WINCH: no workers until the next reload. */
  park(): void {
    this.#lifecycle.enter('parked');
    this.#reloading = false;
  }

  get generation(): number {
    return this.#workers.generation;
  }

  get target(): number {
    return this.#context.wanted.workers;
  }

  get stopping(): boolean {
    return this.#lifecycle.stopping;
  }

  get workers(): readonly WorkerView[] {
    return [...this.#workers.values()];
  }

  /** Its event loop does not turn, or it does not run any more. */
  silent(workerId: number, now: number): boolean {
    const worker = this.#workers.get(workerId);
    return worker === undefined || worker.killed || silent(worker, now);
  }

  /** For `/readyz`; the reason is for people. */
  readiness(): { ready: boolean; reason: string } {
    if (this.stopping) return { ready: false, reason: 'draining' };
    const parked = 'workers are parked (SIGWINCH); SIGHUP starts them';
    if (this.#lifecycle.phase === 'parked') return { ready: false, reason: parked };
    const serving = this.#workers.serving().filter((w) => w.appReady).length;
    if (!this.#started) return { ready: false, reason: `starting: ${serving} of ${this.target} workers are ready` };
    if (serving === 0) return { ready: false, reason: 'no worker is ready' };
    return { ready: true, reason: `${serving} of ${this.target} workers are ready` };
  }

  get serviceState(): ServiceState {
    if (this.stopping) return 'stopping';
    if (!this.#started) return 'starting';
    return this.#reloading ? 'reloading' : 'ready';
  }

  /** @param waitedMs asked of a late worker: how long it got no CPU since its last heartbeat, or since it was last asked */
  due(now: number, waitedMs: (workerId: number) => number = () => 0): Decision[] {
    this.#extendDeadlines(now, waitedMs);
    for (const w of this.#workers.values()) w.killIfLate(now);
    this.#policy.due(now);
    if (this.#lifecycle.phase === 'serving') {
      this.#recycling.due(now);
      this.#reconciler.due(now);
      this.#leadership.due(now);
    } else {
      this.#lifecycle.advance(now);
      for (const w of this.#workers.values()) w.killIfLate(now);
    }
    const serving = this.#workers.serving();
    if (!this.#lifecycle.released) this.#failover.arrange(serving, now);
    if (serving.length > 0 && !this.#workers.reloading) this.#reloading = false;
    return this.#decisions.splice(0);
  }

  /** When `due` must be called next at the latest; Infinity if nothing is planned. */
  nextDeadline(now: number): number {
    const deadlines = [...this.#workers.values()].map((w) => w.deadline.at);
    deadlines.push(this.#lifecycle.drainDelayEndsAt);
    if (!this.#lifecycle.released) deadlines.push(this.#failover.nextDeadline(this.#workers.serving(), now));
    if (this.#lifecycle.phase === 'serving') {
      deadlines.push(this.#reconciler.nextDeadline(now), this.#recycling.nextDeadline());
    }
    return Math.min(...deadlines);
  }

  /** A gap in the arbiter's own time goes to every worker, and first: only those still late are asked for theirs. */
  #extendDeadlines(now: number, waitedMs: (workerId: number) => number): void {
    const gap = now - (this.#lastDue ?? now);
    this.#lastDue = now;
    for (const w of this.#workers.values()) {
      if (gap > STARVED_MS) w.extendDeadline(gap, now, this.#lifecycle.drainBy(now));
      const { at } = w.deadline;
      if (now < at) continue;
      const ms = waitedMs(w.workerId) + w.takeWaited();
      if (w.state === 'draining') this.#lifecycle.extendStop(at + ms);
      w.extendDeadline(ms, now, this.#lifecycle.drainBy(now));
    }
  }

  #noteStart(): void {
    if (this.#workers.serving().length >= this.target) this.#started = true;
  }
}
