/**
 * The worker pool as pure state: events go in with their time, `due(now)` gives back what is to be done. No I/O, no
 * clock of its own, so every rule of supervision is tested by table. Times are milliseconds of a monotonic clock.
 */
import type { ExitName } from '../errors.ts';
import type { ServiceState } from '../platform/notify.ts';
import { Covers } from './covers.ts';
import { CrashLog } from './crash-log.ts';
import type { Decision, Ending, PoolSettings, PoolWorker, RestartReason, WorkerState } from './decisions.ts';

interface Member extends PoolWorker {
  generation: number;
  state: WorkerState;
  reason: RestartReason | undefined;
  lastBeat: number;
  bootBy: number;
  killAt: number;
  killed: boolean;
  killedFor: string | undefined;
}

type Stage = 'serving' | 'closing' | 'draining' | 'quitting' | 'parked';

/** INT and QUIT leave requests in flight this long (contract, section 5). */
const QUICK_STOP_MS = 1_000;
/** A gap between two calls of `due` that says the arbiter itself was suspended or starved: it ticks every second. */
const STARVED_MS = 2_000;

export class Pool {
  readonly #settings: PoolSettings;
  readonly #members = new Map<number, Member>();
  readonly #crashes: CrashLog;
  readonly #covers = new Covers();
  #stage: Stage = 'serving';
  #stageEnds = Number.POSITIVE_INFINITY;
  #stopBy = Number.POSITIVE_INFINITY;
  /** What the server ends with once the last worker is gone. */
  #verdict: { exit: ExitName; why: string } = { exit: 'ok', why: 'stopped as asked' };
  #target: number;
  #generation = 0;
  /** From HUP until every worker that serves is of the new generation, and one does. */
  #reloading = false;
  #nextAge = 1;
  #started = false;
  #lastDue: number | undefined;
  #released = false;
  #pending: Decision[] = [];

  constructor(settings: PoolSettings) {
    this.#settings = settings;
    this.#target = settings.workers;
    this.#crashes = new CrashLog(settings.crashLimit);
  }

  // --- what happened ---

  ready(age: number, now: number): void {
    const member = this.#members.get(age);
    if (member?.state !== 'booting') return;
    this.#covers.opened(member.slot); // it listens, also if it has been killed meanwhile
    if (member.killed) return;
    member.state = 'ready';
    member.lastBeat = now;
    this.#crashes.booted();
    this.#noteStart();
    if (this.#stage === 'closing') this.#pending.push({ do: 'close connections', age });
  }

  beat(age: number, now: number): void {
    const member = this.#members.get(age);
    if (member) member.lastBeat = now;
  }

  /** The worker asked to be replaced; it goes on serving until then. */
  leave(age: number, reason: RestartReason): void {
    const member = this.#members.get(age);
    if (member?.state === 'ready') Object.assign(member, { state: 'leaving', reason });
  }

  /** The worker drains by its own decision, after an uncaught exception. */
  broke(age: number, now: number): void {
    const member = this.#members.get(age);
    if (!member || member.state === 'draining' || member.state === 'booting') return;
    Object.assign(member, { state: 'draining', reason: 'crash', killAt: now + this.#settings.gracefulTimeout * 1000 });
  }

  /** Answers why the worker had to be replaced; undefined where it was not wanted any more. */
  exited(age: number, ending: Ending, now: number): RestartReason | undefined {
    const member = this.#members.get(age);
    if (!member) return undefined;
    this.#members.delete(age);
    this.#covers.gone(age);
    if (this.#stopping) return undefined;
    if (member.state === 'booting') {
      if (member.killed && member.reason === undefined) return undefined; // it was not wanted any more
      this.#bootFailed(member, { ...ending, why: member.killedFor ?? ending.why }, now);
      return 'boot';
    }
    const reason = member.state === 'draining' || member.killed ? member.reason : 'crash';
    if (reason === 'crash' || reason === 'stall') this.#crashes.died(now);
    return reason;
  }

  reload(now: number): void {
    if (this.#stopping) return;
    if (this.#stage === 'parked') this.#enter('serving', now);
    this.#generation++;
    this.#reloading = true;
    this.#target = this.#settings.workers;
    this.#crashes.forgive();
  }

  /** TTIN, TTOU and sizing. Never below one. */
  resize(target: number): void {
    this.#target = Math.max(1, target);
    this.#noteStart();
  }

  /** TERM. A second one changes nothing. */
  stop(now: number): void {
    if (this.#stopping) return;
    this.#stopBy = now + this.#settings.gracefulTimeout * 1000;
    this.#enter('closing', now);
  }

  /** INT, QUIT. A second one stops at once. */
  quit(now: number): void {
    this.#stopBy = this.#stage === 'quitting' ? now : Math.min(this.#stopBy, now + QUICK_STOP_MS);
    this.#enter('quitting', now);
  }

  /** WINCH: no workers until the next reload. */
  park(now: number): void {
    if (!this.#stopping) this.#enter('parked', now);
  }

  // --- what it looks like ---

  get target(): number {
    return this.#target;
  }

  get stopping(): boolean {
    return this.#stopping;
  }

  get workers(): readonly PoolWorker[] {
    return [...this.#members.values()];
  }

  /** For `/readyz`; the reason is for people. */
  readiness(): { ready: boolean; reason: string } {
    if (this.#stopping) return { ready: false, reason: 'draining' };
    if (this.#stage === 'parked') return { ready: false, reason: 'workers are parked (SIGWINCH); SIGHUP starts them' };
    const ready = this.#serving().length;
    if (!this.#started) return { ready: false, reason: `starting: ${ready} of ${this.#target} workers are ready` };
    if (ready === 0) return { ready: false, reason: 'no worker is ready' };
    return { ready: true, reason: `${ready} of ${this.#target} workers are ready` };
  }

  /** For a service manager. */
  get serviceState(): ServiceState {
    if (this.#stopping) return 'stopping';
    if (!this.#started) return 'starting';
    return this.#reloading ? 'reloading' : 'ready';
  }

  // --- what is to be done ---

  due(now: number): Decision[] {
    const out = this.#pending.splice(0);
    this.#forgiveStarvation(now);
    this.#murder(now, out);
    if (this.#stopping) this.#advanceStop(now, out);
    else if (this.#stage === 'serving') this.#manage(now, out);
    if (this.#stage === 'parked') this.#drainAll('parked', false, now, out);
    const serving = this.#serving();
    if (!this.#released) this.#covers.arrange(serving, out);
    if (serving.length > 0 && serving.every((m) => m.generation === this.#generation)) this.#reloading = false;
    return out;
  }

  /** When `due` has to be called next at the latest; Infinity where nothing is planned. */
  nextDeadline(now: number): number {
    let next = this.#stageEnds;
    if (this.#crashes.retryAt > now) next = Math.min(next, this.#crashes.retryAt);
    for (const m of this.#members.values()) if (!m.killed) next = Math.min(next, this.#deadlineOf(m).at);
    return next;
  }

  get #stopping(): boolean {
    return this.#stage === 'closing' || this.#stage === 'draining' || this.#stage === 'quitting';
  }

  #enter(stage: Stage, now: number): void {
    this.#stage = stage;
    if (stage === 'parked') this.#reloading = false;
    this.#stageEnds = stage === 'closing' ? now + this.#settings.drainDelay * 1000 : Number.POSITIVE_INFINITY;
    if (stage === 'closing') {
      for (const m of this.#serving()) this.#pending.push({ do: 'close connections', age: m.age });
    }
  }

  #noteStart(): void {
    if (this.#serving().length >= this.#target) this.#started = true;
  }

  #alive(...states: WorkerState[]): Member[] {
    return [...this.#members.values()].filter((m) => states.includes(m.state));
  }

  /** Workers that accept: ready ones, and those that wait for their replacement. */
  #serving(): Member[] {
    return this.#alive('ready', 'leaving').filter((m) => !m.killed);
  }

  #deadlineOf(m: Member): { at: number; why: string; reason: RestartReason | undefined } {
    const { bootTimeout, timeout } = this.#settings;
    if (m.state === 'booting') {
      return { at: m.bootBy, why: `not ready ${bootTimeout} s after its start`, reason: 'boot' };
    }
    const drained = { at: m.killAt, why: 'not finished when its time to drain was over', reason: m.reason };
    if (timeout === 0) return drained;
    const stalled = { at: m.lastBeat + timeout * 1000, why: `silent for ${timeout} s`, reason: 'stall' as const };
    return drained.at <= stalled.at ? drained : stalled;
  }

  /** A machine that was suspended, or an arbiter that got no CPU, murders nobody: the gap is given to every worker. */
  #forgiveStarvation(now: number): void {
    const before = this.#lastDue ?? now;
    const gap = now - before;
    this.#lastDue = now;
    if (gap <= STARVED_MS) return;
    for (const m of this.#members.values()) {
      if (m.lastBeat <= before) m.lastBeat += gap;
      if (m.bornAt <= before) m.bootBy += gap;
      // Of a stop the deadline stands: stopBy is the orchestrator's patience.
      if (m.state === 'draining') m.killAt = Math.min(m.killAt + gap, now + this.#settings.gracefulTimeout * 1000);
    }
  }

  #murder(now: number, out: Decision[]): void {
    for (const m of this.#members.values()) {
      const deadline = this.#deadlineOf(m);
      if (m.killed || now < deadline.at) continue;
      m.killed = true;
      m.reason = deadline.reason;
      m.killedFor = deadline.why;
      out.push({ do: 'kill', age: m.age, why: deadline.why });
    }
  }

  #advanceStop(now: number, out: Decision[]): void {
    // Nothing that a booting worker could still serve is worth waiting for.
    for (const m of this.#alive('booting')) this.#kill(m, 'the server stops', out);
    if (this.#stage === 'closing') {
      if (now < this.#stageEnds && this.#members.size > 0) return;
      this.#enter('draining', now);
    }
    if (!this.#released) {
      this.#released = true;
      out.push({ do: 'release listeners' });
    }
    this.#drainAll('the server stops', this.#stage === 'quitting', now, out);
    for (const m of this.#members.values()) m.killAt = Math.min(m.killAt, this.#stopBy);
    this.#murder(now, out);
    if (this.#members.size === 0) out.push({ do: 'halt', ...this.#verdict });
  }

  #drainAll(why: string, quick: boolean, now: number, out: Decision[]): void {
    for (const m of this.#alive('booting')) this.#kill(m, why, out);
    for (const m of this.#serving()) this.#drain(m, why, quick, now, out);
  }

  #drain(m: Member, why: string, quick: boolean, now: number, out: Decision[]): void {
    m.state = 'draining';
    m.killAt = Math.min(this.#stopBy, now + this.#settings.gracefulTimeout * 1000);
    out.push({ do: 'drain', age: m.age, quick, why });
  }

  #kill(m: Member, why: string, out: Decision[]): void {
    if (m.killed) return;
    m.killed = true;
    out.push({ do: 'kill', age: m.age, why });
  }

  #bootFailed(member: Member, ending: Ending, now: number): void {
    const others = this.#serving();
    this.#crashes.failedToBoot(now);
    const replaced = others.find((m) => m.slot === member.slot);
    if (replaced && member.generation === this.#generation && replaced.generation < this.#generation) {
      // A release that does not boot: what runs now goes on, and counts as current.
      for (const m of this.#members.values()) m.generation = this.#generation;
      this.#crashes.forgive();
      this.#pending.push({ do: 'give up reload', why: ending.why });
    } else if (ending.fatal && !this.#started) {
      this.#giveUp('app', ending.why, now);
    } else if (this.#crashes.bootLimitReached && (!this.#started || others.length === 0)) {
      const { crashLimit } = this.#settings;
      this.#giveUp('boot', `${crashLimit} workers in a row ended before they were ready, the last: ${ending.why}`, now);
    }
  }

  #giveUp(exit: ExitName, why: string, now: number): void {
    this.#verdict = { exit, why };
    this.quit(now);
  }

  /** Spawn what is missing, replace what is outdated, cull what is too much. */
  #manage(now: number, out: Decision[]): void {
    if (this.#crashes.limitReached(now)) {
      this.#giveUp('boot', `${this.#crashes.limit} workers died within a minute`, now);
      return this.#advanceStop(now, out);
    }
    for (let slot = 0; slot < this.#target; slot++) {
      const here = this.#alive('booting', 'ready', 'leaving').filter((m) => m.slot === slot && !m.killed);
      if (here.length === 0 && now >= this.#crashes.retryAt) this.#spawn(slot, now, out);
    }
    this.#finishReplacements(now, out);
    this.#startReplacement(now, out);
    for (const m of this.#serving()) {
      if (m.slot < this.#target) continue;
      m.reason = 'resize';
      this.#drain(m, 'one worker less is wanted', false, now, out);
    }
    for (const m of this.#alive('booting')) if (m.slot >= this.#target) this.#kill(m, 'one worker less is wanted', out);
  }

  #outdated(m: Member): boolean {
    return m.state === 'leaving' || m.generation < this.#generation;
  }

  /** The replacement is ready: now, and not before, the old one drains, even if the new one is outdated by now too. */
  #finishReplacements(now: number, out: Decision[]): void {
    const serving = this.#serving();
    for (const old of serving) {
      if (!this.#outdated(old) || !serving.some((m) => m.slot === old.slot && m.age > old.age)) continue;
      old.reason ??= 'reload';
      this.#drain(old, 'a newer worker took over', false, now, out);
    }
  }

  /** One surplus process at a time, so that a reload needs the memory of one worker more and not of twice as many. */
  #startReplacement(now: number, out: Decision[]): void {
    if (this.#members.size > this.#target || this.#alive('booting').length > 0 || now < this.#crashes.retryAt) return;
    const old = this.#serving().find((m) => this.#outdated(m) && m.slot < this.#target);
    if (old) this.#spawn(old.slot, now, out);
  }

  #spawn(slot: number, now: number, out: Decision[]): void {
    const age = this.#nextAge++;
    const never = Number.POSITIVE_INFINITY;
    this.#members.set(age, {
      age,
      slot,
      generation: this.#generation,
      state: 'booting',
      reason: undefined,
      bornAt: now,
      lastBeat: now,
      bootBy: now + this.#settings.bootTimeout * 1000,
      killAt: never,
      killed: false,
      killedFor: undefined,
    });
    out.push({ do: 'spawn', age, slot });
  }
}
