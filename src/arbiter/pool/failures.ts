/**
 * What comes of workers that fail: they do not get ready, or die afterwards. A reload is given up, or the server is;
 * everything else is made good by `Reconciler`, at the times that `RestartPolicy` sets. Pure; times in milliseconds.
 */

import type { Decision, Ending, PoolSettings } from './decisions.ts';
import type { Lifecycle } from './lifecycle.ts';
import type { Reconciler } from './reconciler.ts';
import { DIED_YOUNG, PROBATION_MS, type RestartPolicy } from './restart-policy.ts';
import type { PoolWorker, PoolWorkers } from './worker.ts';

export interface FailuresOptions {
  readonly settings: PoolSettings;
  readonly members: PoolWorkers;
  readonly crashes: RestartPolicy;
  readonly staff: Reconciler;
  readonly stage: Lifecycle;
  /** Decisions that are due with the next ones. */
  readonly pending: Decision[];
}

export class Failures {
  readonly #options: FailuresOptions;

  constructor(options: FailuresOptions) {
    this.#options = options;
  }

  /** @param started all workers were ready once */
  bootFailed(member: PoolWorker, ending: Ending, started: boolean, now: number): void {
    const { settings, members, crashes, staff, stage } = this.#options;
    const others = members.serving();
    crashes.failedToBoot(now);
    const replaced = others.find((m) => m.slot === member.slot);
    const inARow = `${settings.crashLimit} workers in a row ended before they were ready, the last: ${ending.why}`;
    if (replaced && member.generation === staff.generation && replaced.generation < staff.generation) {
      // A release that does not boot: what runs now goes on.
      crashes.booted();
      this.#giveUpReload(ending.why);
    } else if (ending.fatal && !started) {
      stage.giveUp(ending.exit ?? 'app', ending.why, now);
    } else if (crashes.bootLimitReached && (!started || others.length === 0)) {
      stage.giveUp('boot', inARow, now);
    } else if (crashes.bootLimitReached && this.#rolling) {
      this.#giveUpReload(inARow);
    }
  }

  /** Of a worker that was ready. It counts when it is known, which may be before its end; and once. */
  died(member: PoolWorker, why: string, now: number): void {
    const { settings, members, crashes, staff, stage, pending } = this.#options;
    if (member.mourned || stage.stopping) return;
    member.mourned = true;
    const livedMs = (member.reason === 'stall' ? member.lastBeat : now) - member.readyAt;
    // One that was to be replaced by a reload says nothing about the code that the next one runs.
    const young = livedMs < PROBATION_MS && member.state !== 'draining' && member.generation === staff.generation;
    const alone = !members.serving().some((m) => m.proven);
    crashes.died({ workerId: member.workerId, slot: member.slot, young, alone, why }, now);
    if (!young) return;
    const row = crashes.youngInARow;
    if (this.#rolling && row >= settings.crashLimit) {
      this.#giveUpReload(`${row} new workers in a row ${DIED_YOUNG}, the last: ${why}`);
    } else if (this.#rolling && row === 1) {
      pending.push({ do: 'warn', why: `a new worker ${DIED_YOUNG} (${why}): ${SLOWER}` });
    } else if (row === settings.crashLimit) {
      pending.push({
        do: 'warn',
        why: `${row} workers in a row ${DIED_YOUNG}: the waits before the next grow to 10 s`,
      });
    }
  }

  /** Looks who has lived for the probation. A beat has to say so: one that is stuck has not. */
  #prove(now: number): void {
    const { members, crashes } = this.#options;
    for (const m of members.serving()) {
      if (m.proven || Math.min(now, m.lastBeat) - m.readyAt < PROBATION_MS) continue;
      m.proven = true;
      crashes.proved(m.slot, m.workerId);
    }
  }

  due(now: number): void {
    const { members, crashes, stage } = this.#options;
    this.#prove(now);
    // Their slots are filled at once, before their end is heard of.
    for (const m of members) if (m.killed && m.reason === 'stall') this.died(m, m.killedFor ?? 'stalled', now);
    const why = stage.serving ? crashes.verdict(now) : undefined;
    if (why !== undefined) stage.giveUp('boot', why, now);
  }

  /** A reload is under way, and not all that it replaces is gone. */
  get #rolling(): boolean {
    const { members, staff } = this.#options;
    return members.serving().some((m) => m.generation < staff.generation);
  }

  /** What serves goes on, and counts as current. */
  #giveUpReload(why: string): void {
    const { members, crashes, staff, pending } = this.#options;
    for (const m of members) m.generation = staff.generation;
    for (const m of members.serving()) crashes.settled(m.slot);
    pending.push({ do: 'give-up-reload', why });
  }
}

const SLOWER = `each old one serves from now on until the one in its place has lived for ${PROBATION_MS / 1000} s`;
