/** How far the server is on its way: it serves, it is parked, or it stops, in steps. Pure; times in milliseconds. */
import type { ExitName } from '../../errors.ts';
import type { Deadlines } from './deadlines.ts';
import type { Decision, PoolSettings } from './decisions.ts';
import { drain, kill, type PoolWorkers } from './worker.ts';

/** INT and QUIT leave requests in flight this long (contract, section 5). */
const QUICK_STOP_MS = 1_000;
/** From SIGKILL to the end of a process, at a stop. One that kill(2) may not reach, or in a broken device, never ends. */
const KILL_WAIT_MS = 2_000;

export class Lifecycle {
  readonly #settings: PoolSettings;
  readonly #members: PoolWorkers;
  readonly #deadlines: Deadlines;
  #name: 'serving' | 'closing' | 'draining' | 'quitting' | 'parked' = 'serving';
  /** When the drain delay is over. */
  #ends = Number.POSITIVE_INFINITY;
  #stopBy = Number.POSITIVE_INFINITY;
  /** When it stops waiting for workers that SIGKILL has not ended. */
  #abandonAt: number | undefined;
  /** What the server ends with once the last worker is gone. */
  #verdict: { exit: ExitName; why: string } = { exit: 'ok', why: 'stopped as asked' };
  #released = false;

  constructor(settings: PoolSettings, members: PoolWorkers, deadlines: Deadlines) {
    this.#settings = settings;
    this.#members = members;
    this.#deadlines = deadlines;
  }

  get serving(): boolean {
    return this.#name === 'serving';
  }

  get parked(): boolean {
    return this.#name === 'parked';
  }

  get closing(): boolean {
    return this.#name === 'closing';
  }

  get stopping(): boolean {
    return this.#name === 'closing' || this.#name === 'draining' || this.#name === 'quitting';
  }

  /** The arbiter has let go of its sockets. */
  get released(): boolean {
    return this.#released;
  }

  get ends(): number {
    return this.#ends;
  }

  serve(): void {
    this.#name = 'serving';
  }

  park(): void {
    this.#name = 'parked';
  }

  /** TERM. */
  stop(now: number, out: Decision[]): void {
    this.#name = 'closing';
    this.#stopBy = now + this.#settings.gracefulTimeout * 1000;
    this.#ends = now + this.#settings.drainDelay * 1000;
    for (const { workerId } of this.#members.serving()) out.push({ do: 'close-connections', workerId });
  }

  /** INT, QUIT. A second one stops at once. */
  quit(now: number): void {
    this.#stopBy = this.#name === 'quitting' ? now : Math.min(this.#stopBy, now + QUICK_STOP_MS);
    this.#name = 'quitting';
    this.#ends = Number.POSITIVE_INFINITY;
  }

  giveUp(exit: ExitName, why: string, now: number): void {
    this.#verdict = { exit, why };
    this.quit(now);
  }

  /** When a worker that begins to drain now is killed at the latest. */
  drainBy(now: number): number {
    return Math.min(this.#stopBy, now + this.#settings.gracefulTimeout * 1000);
  }

  /** The same where nobody wants to wait for it. */
  quickDrainBy(now: number): number {
    return Math.min(this.drainBy(now), now + QUICK_STOP_MS);
  }

  /** What has to be done in this stage, beside managing the workers while it serves. */
  advance(now: number, out: Decision[]): void {
    if (this.parked) this.#drainAll('parked', now, out);
    if (!this.stopping) return;
    // Nothing that a booting worker could still serve is worth waiting for.
    for (const m of this.#members.alive('booting')) kill(m, 'the server stops', out);
    if (this.#name === 'closing') {
      if (now < this.#ends && this.#members.size > 0) return;
      this.#name = 'draining';
      this.#ends = Number.POSITIVE_INFINITY;
    }
    if (!this.#released) {
      this.#released = true;
      out.push({ do: 'release-listeners' });
    }
    this.#drainAll('the server stops', now, out);
    const hastened = this.#members.alive('draining').filter((m) => m.killAt > this.#stopBy);
    for (const m of this.#members) m.killAt = Math.min(m.killAt, this.#stopBy);
    this.#deadlines.killLate(this.#members, now, out);
    for (const m of hastened) {
      if (!m.killed) drain(m, { why: 'the server stops at once', quick: true, sweep: true, killAt: m.killAt }, out);
    }
    if (now >= this.#stopBy) this.#abandonAt ??= now + KILL_WAIT_MS;
    if (this.#members.size === 0) out.push({ do: 'halt', ...this.#verdict });
    else if (this.#abandonAt !== undefined && now >= this.#abandonAt) {
      const why = `${this.#members.size} of the workers did not end within ${KILL_WAIT_MS / 1000} s of SIGKILL`;
      out.push({ do: 'halt', exit: 'failure', why });
    }
  }

  #drainAll(why: string, now: number, out: Decision[]): void {
    const quick = this.#name === 'quitting';
    for (const m of this.#members.alive('booting')) kill(m, why, out);
    for (const m of this.#members.serving()) drain(m, { why, quick, sweep: true, killAt: this.drainBy(now) }, out);
  }
}
