/** Whether the server serves, is parked, or stops in steps. Pure; times in milliseconds. */
import type { ExitName } from '../../errors.ts';
import type { PoolContext } from './worker.ts';

/** INT and QUIT leave requests in flight this long (contract, section 5). */
const QUICK_STOP_MS = 1_000;
/** How long a stop waits after SIGKILL. A process that kill(2) may not reach, or in a broken device, never ends. */
const KILL_WAIT_MS = 2_000;

/** A stop is `closing` for the drain delay, then `draining`; `quitting` if it is a quick one. */
export type Phase = 'serving' | 'parked' | 'closing' | 'draining' | 'quitting';

export class Lifecycle {
  readonly #context: PoolContext;
  #phase: Phase = 'serving';
  #drainDelayEndsAt = Number.POSITIVE_INFINITY;
  #stopBy = Number.POSITIVE_INFINITY;
  /** How far {@link extendStop} goes: a stop in order ends when the orchestrator expects it, a quick one need not. */
  #stopByAtLatest = Number.POSITIVE_INFINITY;
  /** When the stop goes on without workers that SIGKILL has not ended. */
  #abandonAt: number | undefined;
  #verdict: { exit: ExitName; why: string } = { exit: 'ok', why: 'stopped as asked' };
  #released = false;

  constructor(context: PoolContext) {
    this.#context = context;
  }

  get phase(): Phase {
    return this.#phase;
  }

  get stopping(): boolean {
    return this.#phase !== 'serving' && this.#phase !== 'parked';
  }

  get released(): boolean {
    return this.#released;
  }

  get drainDelayEndsAt(): number {
    return this.#drainDelayEndsAt;
  }

  enter(phase: 'serving' | 'parked'): void {
    if (!this.stopping) this.#phase = phase;
  }

  stop(now: number): void {
    const { settings, workers, decisions } = this.#context;
    this.#phase = 'closing';
    this.#stopBy = this.#stopByAtLatest = now + settings.gracefulTimeout * 1000;
    this.#drainDelayEndsAt = now + settings.drainDelay * 1000;
    for (const { workerId } of workers.serving()) decisions.push({ do: 'close-connections', workerId });
  }

  /** INT, QUIT. A second one stops at once. */
  quit(now: number): void {
    const gracefulMs = Math.max(QUICK_STOP_MS, this.#context.settings.gracefulTimeout * 1000);
    this.#stopByAtLatest = this.#phase === 'quitting' ? now : Math.min(this.#stopBy, now + gracefulMs);
    this.#stopBy = Math.min(this.#stopByAtLatest, now + QUICK_STOP_MS);
    this.#phase = 'quitting';
    this.#drainDelayEndsAt = Number.POSITIVE_INFINITY;
  }

  giveUp(exit: ExitName, why: string, now: number): void {
    this.#verdict = { exit, why };
    this.quit(now);
  }

  /** A worker got no CPU for a part of its time. */
  extendStop(until: number): void {
    this.#stopBy = Math.max(this.#stopBy, Math.min(until, this.#stopByAtLatest));
  }

  drainBy(now: number, quick = false): number {
    const gracefulMs = this.#context.settings.gracefulTimeout * 1000;
    return Math.min(this.#stopBy, now + (quick ? Math.min(QUICK_STOP_MS, gracefulMs) : gracefulMs));
  }

  advance(now: number): void {
    const { workers, decisions } = this.#context;
    const why = this.stopping ? 'server is stopping' : 'parked';
    for (const w of workers.in('booting')) w.kill(why);
    if (this.#phase === 'closing') {
      if (now < this.#drainDelayEndsAt && workers.size > 0) return;
      this.#phase = 'draining';
      this.#drainDelayEndsAt = Number.POSITIVE_INFINITY;
    }
    if (this.stopping && !this.#released) {
      this.#released = true;
      decisions.push({ do: 'release-listeners' });
    }
    const drain = { why, by: this.drainBy(now), quick: this.#phase === 'quitting', drainQueue: true };
    for (const w of workers.serving()) w.drain(drain);
    if (!this.stopping) return;
    for (const w of workers.values()) w.hasten(this.#stopBy, 'server is stopping at once', now);
    if (now >= this.#stopBy) this.#abandonAt ??= now + KILL_WAIT_MS;
    if (workers.size === 0) decisions.push({ do: 'halt', ...this.#verdict });
    else if (this.#abandonAt !== undefined && now >= this.#abandonAt) {
      const why = `${workers.size} of the workers did not end within ${KILL_WAIT_MS / 1000} s of SIGKILL`;
      decisions.push({ do: 'halt', exit: 'failure', why });
    }
  }
}
