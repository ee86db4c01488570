/** Wanted ⇄ present: spawns what is missing, replaces what is outdated, drains what is surplus. Pure; milliseconds. */
import { silent } from './failover.ts';
import type { Lifecycle } from './lifecycle.ts';
import type { RestartPolicy } from './restart-policy.ts';
import { type PoolContext, PoolWorker, STABILITY_MS } from './worker.ts';

/** A boot takes 0.3 s of CPU time; one that takes longer than this waits, as for a database, and holds up no others. */
const BOOT_CPU_MS = 5_000;

const SURPLUS = 'fewer workers are wanted';

export class Reconciler {
  readonly #context: PoolContext;
  readonly #policy: RestartPolicy;
  readonly #lifecycle: Lifecycle;
  #lastId = 0;
  /** When the next boot stops counting, if a slot waits for that. */
  #roomAt = Number.POSITIVE_INFINITY;

  constructor(context: PoolContext, policy: RestartPolicy, lifecycle: Lifecycle) {
    this.#context = context;
    this.#policy = policy;
    this.#lifecycle = lifecycle;
  }

  due(now: number): void {
    this.#spawnMissing(now);
    this.#finishReplacements(now);
    this.#killOutdatedBoots(now);
    this.#startReplacement(now);
    this.#scaleDown(now);
  }

  nextDeadline(now: number): number {
    const next = Math.min(this.#policy.nextRetry(now), this.#roomAt);
    if (this.#policy.earlyInARow === 0) return next;
    const stableAt = this.#context.workers.serving().map((w) => w.readyAt + STABILITY_MS);
    return Math.min(next, ...stableAt.filter((at) => at > now));
  }

  /** Workers that fill their slots, or will. One killed for a late boot does until its exit sets the backoff. */
  get #filling(): PoolWorker[] {
    const lateBoot = (w: PoolWorker) => w.state === 'booting' && w.reason === 'boot';
    return [...this.#context.workers.values()].filter((w) => (w.killed ? lateBoot(w) : w.state !== 'draining'));
  }

  #spawnMissing(now: number): void {
    this.#roomAt = Number.POSITIVE_INFINITY;
    const { workers, wanted } = this.#context;
    const filled = new Set(this.#filling.map((w) => w.slot));
    const busy = workers
      .in('booting')
      .map((w) => w.startedAt + BOOT_CPU_MS)
      .filter((end) => end > now);
    for (let slot = 0; slot < wanted.workers; slot++) {
      if (filled.has(slot) || now < this.#policy.slotRetryAt(slot) || !this.#hasRoom(slot)) continue;
      if (busy.length >= wanted.bootsAtOnce) {
        this.#roomAt = Math.min(...busy);
        return;
      }
      this.#spawn(slot, now);
      busy.push(now + BOOT_CPU_MS);
    }
  }

  /**
   * Beside what drains: a slot has at most two processes, and one slot at a time. A worker that crashed does not count,
   * and a slot emptied by a death or by parking is filled in any case: serving goes before what it costs.
   */
  #hasRoom(slot: number): boolean {
    const drains = this.#context.workers.in('draining').filter((w) => w.reason !== 'crash');
    const [own, ...more] = drains.filter((w) => w.slot === slot);
    if (own === undefined) return true;
    if (more.length > 0) return false;
    if (!own.surplus) return true;
    const slots = [...drains, ...this.#filling].map((w) => w.slot);
    return new Set(slots).size === slots.length;
  }

  /** The replacement is ready: the old worker drains now, even if the new one is outdated too. */
  #finishReplacements(now: number): void {
    const { settings, workers } = this.#context;
    const serving = workers.serving();
    // In development a browser's event stream would hold the old code, and with it all further replacements.
    const by = this.#lifecycle.drainBy(now, settings.reload);
    for (const old of serving) {
      if (!toReplace(old)) continue;
      // After early deaths readiness is not enough, unless the old worker does harm: it fills the memory.
      const ready = this.#policy.earlyInARow === 0 || old.reason === 'rss';
      const newer = serving.filter((w) => w.slot === old.slot && w.workerId > old.workerId && !silent(w, now));
      if (!newer.some((w) => w.stable || ready)) continue;
      old.drain({ why: 'a newer worker took over', by, quick: false, drainQueue: false }, old.reason ?? 'reload');
    }
  }

  /** A hung boot would hold up the release that fixes it. Others go on, or HUPs in a row would replace nothing. */
  #killOutdatedBoots(now: number): void {
    const { workers } = this.#context;
    const served = new Set(workers.serving().map((w) => w.slot));
    for (const w of workers.in('booting')) {
      if (!w.outdated || !served.has(w.slot) || now - w.startedAt < BOOT_CPU_MS) continue;
      w.kill('a newer release was requested before it was ready');
    }
  }

  /** One surplus process at a time: a reload needs the memory of one more worker, not of twice as many. */
  #startReplacement(now: number): void {
    const { workers, wanted } = this.#context;
    if (workers.size > wanted.workers || now < this.#policy.replaceAt) return;
    if ([...workers.values()].some((w) => w.state === 'booting')) return;
    const old = workers.serving().find((w) => toReplace(w) && w.slot < wanted.workers);
    if (old) this.#spawn(old.slot, now);
  }

  /** Surplus workers serve while slots that stay lack a ready, responsive worker. Silent ones drain first. */
  #scaleDown(now: number): void {
    const { workers, wanted } = this.#context;
    const serving = workers.serving();
    const staying = new Set(serving.filter((w) => w.slot < wanted.workers && !silent(w, now)).map((w) => w.slot));
    const silence = (w: PoolWorker) => Number(silent(w, now));
    const surplus = serving
      .filter((w) => w.slot >= wanted.workers)
      .toSorted((a, b) => silence(b) - silence(a) || b.slot - a.slot || a.workerId - b.workerId);
    const needless = Math.max(0, surplus.length - (wanted.workers - staying.size));
    const order = { why: SURPLUS, by: this.#lifecycle.drainBy(now), quick: false, drainQueue: true };
    for (const w of surplus.slice(0, needless)) w.drain(order, 'resize');
    for (const w of workers.values()) {
      if (w.slot < wanted.workers) continue;
      if (w.state === 'booting') w.kill(SURPLUS);
      w.markSurplus();
    }
  }

  #spawn(slot: number, now: number): void {
    const workerId = ++this.#lastId;
    this.#context.workers.set(workerId, new PoolWorker(workerId, slot, now, this.#context));
  }
}

function toReplace(w: PoolWorker): boolean {
  return w.state === 'leaving' || w.outdated;
}
