/** When a worker may start after failures, and when a reload or the server is given up. Pure; times in milliseconds. */
import type { ExitName } from '../../errors.ts';
import type { RestartReason } from './decisions.ts';
import type { Lifecycle } from './lifecycle.ts';
import { type PoolContext, type PoolWorker, STABILITY_MS } from './worker.ts';

const FIRST_BACKOFF_MS = 100;
/** The longest backoff: a database that is back after a minute finds the app back soon after. */
const LONGEST_BACKOFF_MS = 10_000;
/** Deaths after readiness count for a minute, and this many times the crash limit of them end the server. */
const WINDOW_MS = 60_000;
const DEATHS_PER_LIMIT = 5;

const DIED_EARLY = `died within ${STABILITY_MS / 1000} s of readiness`;
const SLOWER = `each old worker now serves until its replacement has lived for ${STABILITY_MS / 1000} s`;

export interface PoolExit {
  /** `exit code 1`, `SIGKILL`, or what the worker said before it ended. */
  readonly why: string;
  /** A retry cannot help, as the app is missing: the server ends with `exit`, by default `app`. */
  readonly fatal: boolean;
  readonly exit?: ExitName | undefined;
  readonly oom?: boolean;
  /** A signal to the whole process group ended it before it had handlers. */
  readonly interrupted?: boolean;
}

export class RestartPolicy {
  readonly #context: PoolContext;
  readonly #lifecycle: Lifecycle;
  #bootFailures = 0;
  #bootRetryAt = Number.NEGATIVE_INFINITY;
  #deaths: number[] = [];
  #lastWhy = '';
  /** By slot: its last early death and when it may be tried again, until a later worker there is stable. */
  readonly #early = new Map<number, { readonly workerId: number; readonly retryAt: number }>();
  #row = 0;
  /** How many of the row, up to the last, left no stable worker. */
  #rowAlone = 0;

  constructor(context: PoolContext, lifecycle: Lifecycle) {
    this.#context = context;
    this.#lifecycle = lifecycle;
  }

  booted(): void {
    this.#bootFailures = 0;
    this.#bootRetryAt = Number.NEGATIVE_INFINITY;
  }

  /** @returns why the worker must be replaced; undefined if it was no longer wanted */
  exited(worker: PoolWorker, exit: PoolExit, allWereReady: boolean, now: number): RestartReason | undefined {
    const { state, killed, killReason, reason } = worker;
    if (state === 'booting') {
      if (exit.interrupted || (killed && reason === undefined)) return undefined;
      this.#bootFailed(worker, { ...exit, why: killReason ?? exit.why }, allWereReady, now);
      return exit.oom ? 'oom' : 'boot';
    }
    const cause = state === 'draining' || killed ? reason : 'crash';
    const failed = exit.oom ? state !== 'draining' : cause === 'crash' || cause === 'stall';
    if (failed) this.died(worker, exit.why, now);
    return exit.oom ? 'oom' : cause;
  }

  /** Counts the death of a worker that was ready, once, and as soon as it is known. */
  died(worker: PoolWorker, why: string, now: number): void {
    const { settings, workers, decisions } = this.#context;
    if (this.#lifecycle.stopping || !worker.recordDeath()) return;
    const { workerId, slot, state, readyAt, lastHeartbeat, reason } = worker;
    this.#deaths.push(now);
    this.#lastWhy = why;
    const livedMs = (reason === 'stall' ? lastHeartbeat : now) - readyAt;
    // A worker of an older generation says nothing about the code that the next one runs.
    if (livedMs >= STABILITY_MS || state === 'draining' || worker.outdated) return;
    const row = ++this.#row;
    this.#rowAlone = workers.serving().some((w) => w.stable) ? 0 : this.#rowAlone + 1;
    // The first is replaced at once, like any crash.
    this.#early.set(slot, { workerId, retryAt: now + backoffMs(row - 1) });
    if (workers.reloading && row >= settings.crashLimit) {
      this.#giveUpReload(`${row} new workers in a row ${DIED_EARLY}, the last: ${why}`);
    } else if (workers.reloading && row === 1) {
      decisions.push({ do: 'warn', why: `a new worker ${DIED_EARLY} (${why}): ${SLOWER}` });
    } else if (row === settings.crashLimit) {
      const backoff = `the restart backoff grows to ${LONGEST_BACKOFF_MS / 1000} s`;
      decisions.push({ do: 'warn', why: `${row} workers in a row ${DIED_EARLY}: ${backoff}` });
    }
  }

  due(now: number): void {
    const { workers, settings } = this.#context;
    for (const w of workers.serving()) {
      if (!w.stable) continue;
      this.#rowAlone = 0;
      if (w.workerId > (this.#early.get(w.slot)?.workerId ?? w.workerId)) this.#settled(w.slot);
    }
    // The slots of killed workers are filled at once, before the exit.
    for (const w of workers.values()) if (w.killReason && w.reason === 'stall') this.died(w, w.killReason, now);
    if (this.#lifecycle.phase !== 'serving') return;
    this.#deaths = this.#deaths.filter((at) => now - at < WINDOW_MS);
    const limit = settings.crashLimit * DEATHS_PER_LIMIT;
    const inWindow = this.#deaths.length >= limit;
    // With the backoff between them `limit` early deaths take longer than the window.
    if (!inWindow && this.#rowAlone < limit) return;
    const what = inWindow ? 'workers died within a minute' : `workers in a row ${DIED_EARLY}`;
    this.#lifecycle.giveUp('boot', `${limit} ${what}, the last: ${this.#lastWhy}`, now);
  }

  dropSlots(target: number): void {
    for (const slot of [...this.#early.keys()]) if (slot >= target) this.#settled(slot);
  }

  reset(): void {
    this.booted();
    this.#deaths = [];
    this.#rowAlone = 0;
    this.dropSlots(0);
  }

  /** When a worker may start in this slot, where none serves. */
  slotRetryAt(slot: number): number {
    return Math.max(this.#bootRetryAt, this.#early.get(slot)?.retryAt ?? this.#bootRetryAt);
  }

  /** When a worker may start in place of one that serves. */
  get replaceAt(): number {
    return Math.max(...this.#retries());
  }

  nextRetry(now: number): number {
    return Math.min(...this.#retries().filter((at) => at > now));
  }

  /** Early deaths in a row: since each of their slots had a stable worker, or since `reset`. */
  get earlyInARow(): number {
    return this.#row;
  }

  #bootFailed(worker: PoolWorker, { why, fatal, exit = 'app' }: PoolExit, allWereReady: boolean, now: number): void {
    const { settings, workers } = this.#context;
    const serving = workers.serving();
    const replaced = serving.find((w) => w.slot === worker.slot);
    this.#bootRetryAt = now + backoffMs(++this.#bootFailures);
    const limitReached = this.#bootFailures >= settings.crashLimit;
    const inARow = `${settings.crashLimit} workers in a row failed to boot, the last: ${why}`;
    if (replaced?.outdated && !worker.outdated) {
      this.booted();
      this.#giveUpReload(why);
    } else if (fatal && !allWereReady) {
      this.#lifecycle.giveUp(exit, why, now);
    } else if (limitReached && (!allWereReady || serving.length === 0)) {
      this.#lifecycle.giveUp('boot', inARow, now);
    } else if (limitReached && workers.reloading) {
      this.#giveUpReload(inARow);
    }
  }

  /** The workers that serve go on, and count as current. */
  #giveUpReload(why: string): void {
    const { workers, decisions } = this.#context;
    for (const w of workers.values()) w.adopt();
    for (const w of workers.serving()) this.#settled(w.slot);
    decisions.push({ do: 'give-up-reload', why });
  }

  #settled(slot: number): void {
    this.#early.delete(slot);
    if (this.#early.size === 0) this.#row = 0;
  }

  #retries(): number[] {
    return [this.#bootRetryAt, ...[...this.#early.values()].map(({ retryAt }) => retryAt)];
  }
}

function backoffMs(n: number): number {
  return n === 0 ? 0 : Math.min(FIRST_BACKOFF_MS * 2 ** (n - 1), LONGEST_BACKOFF_MS);
}
