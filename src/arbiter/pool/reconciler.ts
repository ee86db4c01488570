/**
 * Sees to it that each slot has its worker, and a current one: spawns what is missing, replaces what is outdated, culls
 * what is too much. Pure; times in milliseconds.
 */

import type { Decision, PoolSettings } from './decisions.ts';
import { silent } from './failover.ts';
import type { Lifecycle } from './lifecycle.ts';
import { PROBATION_MS, type RestartPolicy } from './restart-policy.ts';
import { drain, kill, type PoolWorker, type PoolWorkers } from './worker.ts';

/**
 * A worker that boots longer than this waits for something else than a CPU, such as a database, and does not keep the
 * others from their start: a boot takes a third of a second of CPU time.
 */
const BOOT_CPU_MS = 5_000;

export class Reconciler {
  target: number;
  /** How many may boot at the same time: more than there are CPUs only slow each other down. */
  bootsAtOnce: number;
  generation = 0;
  readonly #settings: PoolSettings;
  readonly #members: PoolWorkers;
  readonly #crashes: RestartPolicy;
  readonly #stage: Lifecycle;
  /** When the next boot no longer counts, where a slot waits for that. */
  #roomAt = Number.POSITIVE_INFINITY;

  constructor(settings: PoolSettings, members: PoolWorkers, crashes: RestartPolicy, stage: Lifecycle) {
    this.#settings = settings;
    this.target = settings.workers;
    this.bootsAtOnce = settings.bootsAtOnce;
    this.#members = members;
    this.#crashes = crashes;
    this.#stage = stage;
  }

  manage(now: number, out: Decision[]): void {
    this.#spawnMissing(now, out);
    this.#finishReplacements(now, out);
    this.#dropOutdatedBoots(now, out);
    this.#startReplacement(now, out);
    this.#cull(now, out);
  }

  nextDeadline(now: number): number {
    const next = Math.min(this.#crashes.nextRetry(now), this.#roomAt);
    if (this.#crashes.youngInARow === 0) return next;
    const proofs = this.#members.serving().map((m) => m.readyAt + PROBATION_MS);
    return Math.min(next, ...proofs.filter((at) => at > now));
  }

  /** Workers that fill their slots, or will. */
  get #onDuty(): PoolWorker[] {
    return (
      this.#members
        .alive('booting', 'ready', 'leaving')
        // One that is killed for not getting ready is still to be heard of: the next one waits for that, and its turn.
        .filter((m) => !m.killed || (m.state === 'booting' && m.reason === 'boot'))
    );
  }

  #spawnMissing(now: number, out: Decision[]): void {
    this.#roomAt = Number.POSITIVE_INFINITY;
    if (now < this.#crashes.retryAt) return;
    const staff = this.#onDuty;
    const here = new Set(staff.map((m) => m.slot));
    const boots = staff.filter((m) => m.state === 'booting' && !m.killed).map((m) => m.startedAt + BOOT_CPU_MS);
    let busy = boots.filter((end) => end > now).length;
    for (let slot = 0; slot < this.target; slot++) {
      if (here.has(slot) || now < this.#crashes.slotRetryAt(slot) || !this.#hasRoom(slot)) continue;
      if (busy >= this.bootsAtOnce) {
        this.#roomAt = Math.min(now + BOOT_CPU_MS, ...boots.filter((end) => end > now));
        return;
      }
      this.#spawn(slot, now, out);
      busy++;
    }
  }

  /**
   * Beside what drains there: at most two processes in a slot, and that in one slot at a time. What drains after a crash
   * is not counted, and a slot that lost its worker by a death, or all of them by parking, is filled in any case: to
   * serve goes before what it costs.
   */
  #hasRoom(slot: number): boolean {
    const drains = this.#members.alive('draining').filter((m) => !m.killed && m.reason !== 'crash');
    const [own, ...more] = drains.filter((m) => m.slot === slot);
    if (own === undefined) return true;
    if (more.length > 0) return false;
    if (!own.culled) return true;
    const slots = [...drains, ...this.#onDuty].map((m) => m.slot);
    return new Set(slots).size === slots.length;
  }

  /** The replacement is ready: now, and not before, the old one drains, even if the new one is outdated by now too. */
  #finishReplacements(now: number, out: Decision[]): void {
    const serving = this.#members.serving();
    // In development a browser's event stream would hold the old code, and with it all further replacements.
    const killAt = this.#settings.reload ? this.#stage.quickDrainBy(now) : this.#stage.drainBy(now);
    for (const old of serving) {
      if (!this.#outdated(old)) continue;
      // Where workers die young it is not enough to be ready, unless the old one does harm: it fills the memory.
      const proof = this.#crashes.youngInARow > 0 && old.reason !== 'rss';
      const heard = serving.filter((m) => m.slot === old.slot && m.workerId > old.workerId && !silent(m, now));
      if (!heard.some((m) => m.proven || !proof)) continue;
      old.reason ??= 'reload';
      drain(old, { why: 'a newer worker took over', quick: false, sweep: false, killAt }, out);
    }
  }

  /**
   * A replacement that was outdated by another HUP, and waits for something: the release that mends it is not to wait as
   * well. One that only boots goes on, or HUPs that come quickly would replace nobody.
   */
  #dropOutdatedBoots(now: number, out: Decision[]): void {
    const served = new Set(this.#members.serving().map((m) => m.slot));
    for (const m of this.#members.alive('booting')) {
      const waits = m.generation < this.generation && now - m.startedAt >= BOOT_CPU_MS;
      if (waits && served.has(m.slot)) kill(m, 'it does not get ready, and a newer release is wanted', out);
    }
  }

  /** One surplus process at a time, so that a reload needs the memory of one worker more and not of twice as many. */
  #startReplacement(now: number, out: Decision[]): void {
    const { size } = this.#members;
    if (size > this.target || this.#members.alive('booting').length > 0 || now < this.#crashes.replaceAt) return;
    const old = this.#members.serving().find((m) => this.#outdated(m) && m.slot < this.target);
    if (old) this.#spawn(old.slot, now, out);
  }

  /** What serves beyond the target goes on while slots that stay have no worker that is ready and heard of. */
  #cull(now: number, out: Decision[]): void {
    const why = 'one worker less is wanted';
    const serving = this.#members.serving();
    const stays = serving.filter((m) => m.slot < this.target && !silent(m, now));
    const staying = new Set(stays.map((m) => m.slot)).size;
    const beyond = serving
      .filter((m) => m.slot >= this.target)
      .toSorted(
        (a, b) => Number(silent(b, now)) - Number(silent(a, now)) || b.slot - a.slot || a.workerId - b.workerId,
      );
    for (const m of beyond.slice(0, Math.max(0, beyond.length - (this.target - staying)))) {
      m.reason = 'resize';
      drain(m, { why, quick: false, sweep: true, killAt: this.#stage.drainBy(now) }, out);
    }
    for (const m of this.#members.alive('booting', 'draining')) {
      if (m.slot < this.target) continue;
      if (m.state === 'booting') kill(m, why, out);
      m.culled = true;
    }
  }

  #outdated(m: PoolWorker): boolean {
    return m.state === 'leaving' || m.generation < this.generation;
  }

  #spawn(slot: number, now: number, out: Decision[]): void {
    const bootBy = now + this.#settings.bootTimeout * 1000;
    this.#members.spawn({ slot, generation: this.generation, now, bootBy }, out);
  }
}
