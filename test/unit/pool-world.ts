/**
 * The pool against a crowd of simulated workers and operators that do anything at any time. Seeded, so a failure comes
 * again. The loop is the arbiter's without its tick: a forgotten deadline shows.
 */
import assert from 'node:assert/strict';
import type { Decision, PoolSettings, WorkerState } from '../../src/arbiter/pool/decisions.ts';
import { SILENT_MS } from '../../src/arbiter/pool/failover.ts';
import { Pool } from '../../src/arbiter/pool/pool.ts';
import { inWords } from './pool-story.ts';

/** From SIGKILL to the report of the end, at most. */
export const LATENCY_MS = 50;

/** A boot that takes longer does not keep others from theirs. */
const BOOT_CPU_MS = 5000;

/** Five confirmations that are lost in a row. */
const ASIDE_MS = 5000;

/** A pause of the arbiter itself. */
const STARVED_MS = 2000;

const STATES: readonly WorkerState[] = ['booting', 'ready', 'leaving', 'draining'];

export const settings: PoolSettings = {
  workers: 4,
  bootsAtOnce: 2,
  maxRequests: 40,
  maxRequestsJitter: 20,
  maxWorkerLifetime: 'off',
  maxRss: 200,
  timeout: 5,
  bootTimeout: 8,
  gracefulTimeout: 6,
  drainDelay: 2,
  crashLimit: 10,
  reload: false,
};

/** xorshift32 (Marsaglia 2003): 0 to 1. */
function generator(seed: number): () => number {
  let x = (seed + 1) * 0x9e3779b9;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) / 2 ** 32;
  };
}

interface Process {
  readonly slot: number;
  /** Slots that it accepts on; of its own since it is ready. */
  readonly accepts: Set<number>;
  served: number;
  hasHeartbeat: boolean;
  respondedAt: number;
  drains: boolean;
  /** It accepts, or stands aside as its app is not ready. */
  serves: boolean;
  appReady: boolean;
  /** When the app last changed its mind about that. */
  changedAt: number;
  /** It runs what must run once. */
  leads: boolean;
  /** Not a surplus of the pool's making: it was killed, it broke, or its successor died. */
  writtenOff: boolean;
}

export class World {
  readonly pool = new Pool(settings, () => this.#random());
  now = 0;
  halted: string | undefined;
  turns = 0;
  happened = 0;
  peaceful = false;
  readonly #random: () => number;
  readonly #processes = new Map<number, Process>();
  readonly #agenda: { at: number; run: () => void }[] = [];
  readonly #opened = new Set<number>();
  readonly #killed = new Map<number, WorkerState | undefined>();
  readonly #states = new Map<number, WorkerState>();
  #released = false;
  readonly #diary: string[] = [];

  constructor(seed: number) {
    this.#random = generator(seed);
  }

  between(low: number, high: number): number {
    return low + this.#random() * (high - low);
  }

  chance(share: number): boolean {
    return !this.peaceful && this.#random() < share;
  }

  pick<T>(items: readonly T[]): T | undefined {
    return items[Math.floor(this.#random() * items.length)];
  }

  note(text: string): void {
    this.#diary.push(`${this.now.toFixed(0)} ${text}`);
    this.happened++;
  }

  in(ms: number, run: () => void): void {
    this.#agenda.push({ at: this.now + ms, run });
    this.#agenda.sort((a, b) => a.at - b.at);
  }

  /** Which slot accepts on which that is wanted. */
  get accepting(): string[] {
    return [...this.#processes.values()]
      .map((p) => `${p.slot} on ${[...p.accepts].filter((slot) => slot < this.pool.target).join()}`)
      .toSorted();
  }

  /** The arbiter's loop, to `end` at the latest. */
  run(end: number): void {
    try {
      while (this.halted === undefined && this.now < end) {
        const next = Math.min(this.#agenda[0]?.at ?? end, this.pool.nextDeadline(this.now), end);
        const gap = next - this.now;
        this.now = Math.max(this.now, next);
        // For the pool this is a machine that was suspended, and counts against no worker.
        if (gap > STARVED_MS) for (const p of this.#processes.values()) p.respondedAt += gap;
        while ((this.#agenda[0]?.at ?? Number.POSITIVE_INFINITY) <= this.now) this.#agenda.shift()?.run();
        this.turns++;
        for (const decision of this.pool.due(this.now)) this.#perform(decision);
        this.#check();
      }
    } catch (error) {
      throw new Error(`${(error as Error).message}\n${this.#diary.slice(-40).join('\n')}`, { cause: error });
    }
  }

  exit(workerId: number, fatal = false): void {
    const gone = this.#processes.get(workerId);
    if (!gone || !this.#processes.delete(workerId)) return;
    this.note(`exit ${workerId}`);
    if (!gone.drains) this.#bereave(gone.slot);
    this.pool.exited(workerId, { why: 'exit code 1', fatal }, this.now);
  }

  /** A worker fails, or an operator asks for something. */
  trouble(): void {
    if (this.peaceful) return;
    this.in(this.between(10, 3000), () => this.trouble());
    const [workerId, worker] = this.pick([...this.#processes].filter(([, p]) => p.accepts.size > 0)) ?? [];
    const kind = Math.floor(this.between(0, 10));
    this.note(`trouble ${kind} ${workerId}`);
    if (kind === 0) this.pool.reload();
    else if (kind === 1) this.pool.resize(Math.floor(this.between(0, 8)));
    else if (kind === 2 && this.chance(0.3)) this.#park();
    else if (workerId === undefined || worker === undefined) return;
    else if (kind <= 4) this.exit(workerId);
    else if (kind === 5) worker.hasHeartbeat = false;
    else if (kind <= 7) this.pool.leave(workerId);
    else if (kind === 8) this.#breaks(workerId, worker);
    else this.#setReady(workerId, worker, false);
  }

  #park(): void {
    this.pool.park();
    this.in(this.between(0, 9000), () => this.pool.reload());
  }

  #setReady(workerId: number, worker: Process, ready: boolean): void {
    if (!this.#processes.has(workerId)) return;
    this.note(`${ready ? 'app ready' : 'app not ready'} ${workerId}`);
    worker.appReady = ready;
    worker.changedAt = this.now;
    this.pool.setReady(workerId, ready);
    if (!ready) this.in(this.between(1, 8000), () => this.#setReady(workerId, worker, true));
  }

  #withdraw(worker: Process): void {
    worker.accepts.clear();
    worker.serves = false;
  }

  #breaks(workerId: number, worker: Process): void {
    worker.writtenOff = true;
    this.#withdraw(worker);
    worker.drains = true;
    this.#bereave(worker.slot);
    this.pool.crashing(workerId, 'thrown on purpose', this.now);
    this.#drains(workerId);
  }

  /** A slot without a worker gets the next one although others still drain there. */
  #bereave(slot: number): void {
    for (const p of this.#processes.values()) if (p.slot === slot && p.drains) p.writtenOff = true;
  }

  #drains(workerId: number): void {
    if (this.#processes.get(workerId)?.leads) this.#resigns(workerId);
    this.in(this.chance(0.2) ? 60_000 : this.between(10, 2000), () => this.exit(workerId));
  }

  /** Some never say so: their processes have to end. */
  #resigns(workerId: number): void {
    if (this.#random() < 0.3) return;
    this.in(this.between(1, 3000), () => {
      const worker = this.#processes.get(workerId);
      if (!worker?.leads) return;
      this.note(`resigned ${workerId}`);
      worker.leads = false;
      this.pool.resign(workerId);
    });
  }

  #perform(decision: Decision): void {
    this.note(inWords(decision));
    if (decision.do === 'spawn') return this.#spawn(decision);
    if (decision.do === 'halt') {
      this.halted = decision.exit;
      return;
    }
    if (decision.do === 'release-listeners') {
      this.#released = true;
      return;
    }
    if (decision.do === 'give-up-reload' || decision.do === 'warn' || decision.do === 'release-holds') return;
    const worker = this.#processes.get(decision.workerId);
    if (worker === undefined) return;
    switch (decision.do) {
      case 'kill':
        assert.ok(!this.#killed.has(decision.workerId), 'killed twice');
        this.#killed.set(decision.workerId, this.pool.workers.find((w) => w.workerId === decision.workerId)?.state);
        worker.writtenOff = true;
        this.#withdraw(worker);
        if (!worker.drains) this.#bereave(worker.slot);
        return this.in(this.between(1, LATENCY_MS), () => this.exit(decision.workerId));
      case 'drain':
        this.#retire(worker, decision.why);
        return this.#drains(decision.workerId);
      case 'take-over':
        if (!worker.serves) return;
        worker.accepts.add(decision.slot);
        // Some confirmations are lost.
        if (this.#random() < 0.1) return;
        return this.in(this.between(1, 20), () => this.pool.tookOver(decision.workerId, decision.slot));
      case 'hand-back':
        worker.accepts.delete(decision.slot);
        return;
      case 'lead': {
        const leaders = [...this.#processes].filter(([, p]) => p.leads).map(([id]) => id);
        assert.deepEqual(leaders, [], `${decision.workerId} leads beside another`);
        worker.leads = true;
        if (worker.drains) this.#resigns(decision.workerId);
        return;
      }
      case 'close-connections':
      case 'collect-garbage':
      case 'recycle':
        return;
      default:
        return decision satisfies never;
    }
  }

  /** A drain leaves as many serving as are wanted, unless the server is parked or stops. */
  #retire(worker: Process, why: string): void {
    const wanted = Math.min(this.pool.target, this.#slotsServed());
    worker.drains = true;
    this.#withdraw(worker);
    if (why === 'parked') worker.writtenOff = true;
    else if (!this.pool.stopping) assert.ok(this.#slotsServed() >= wanted, `${this.#slotsServed()} serve of ${wanted}`);
  }

  #slotsServed(): number {
    const responsive = [...this.#processes.values()].filter((p) => this.now - p.respondedAt < SILENT_MS);
    return new Set(responsive.filter((p) => p.serves).map((p) => p.slot)).size;
  }

  #spawn({ workerId, slot }: { workerId: number; slot: number }): void {
    const worker: Process = {
      slot,
      accepts: new Set(),
      served: 0,
      hasHeartbeat: true,
      respondedAt: 0,
      drains: false,
      serves: false,
      appReady: true,
      changedAt: Number.NEGATIVE_INFINITY,
      leads: false,
      writtenOff: false,
    };
    this.#processes.set(workerId, worker);
    this.in(this.between(0, 3000), () => this.pool.seekLead(workerId));
    const fate = this.chance(0.25) ? 'fails' : this.chance(0.05) ? 'hangs' : 'boots';
    if (fate === 'hangs') return;
    this.in(this.between(50, 1500), () => {
      if (fate === 'fails') return this.exit(workerId);
      if (!this.#processes.has(workerId) || worker.writtenOff) return;
      this.note(`ready ${workerId}`);
      worker.accepts.add(slot);
      worker.serves = true;
      this.#opened.add(slot);
      this.pool.ready(workerId, this.now);
      this.#heartbeat(workerId, worker);
    });
  }

  #heartbeat(workerId: number, worker: Process): void {
    if (!this.#processes.has(workerId) || !worker.hasHeartbeat) return;
    this.happened++;
    worker.respondedAt = this.now;
    this.pool.heartbeat(workerId, this.now);
    // In peace no worker wears out, or it would never settle.
    if (!this.peaceful) worker.served += Math.floor(this.between(0, 3));
    this.pool.report(workerId, { served: worker.served, rssBytes: this.chance(0.7) ? this.between(0, 400) : 0 });
    this.in(1000, () => this.#heartbeat(workerId, worker));
  }

  /** What has to hold after every turn. */
  #check(): void {
    const { pool, now } = this;
    if (this.halted !== undefined) return;
    assert.ok(pool.nextDeadline(now) > now, 'a deadline is left behind, and the loop would spin');
    const booting = pool.workers.filter(({ workerId, state, startedAt }) => {
      return state === 'booting' && now - startedAt < BOOT_CPU_MS && !this.#processes.get(workerId)?.writtenOff;
    });
    assert.ok(booting.length <= settings.bootsAtOnce, `${booting.length} boot at once`);
    const counted = [...this.#processes.values()].filter((p) => !p.writtenOff);
    this.#checkSurplus(counted);
    this.#checkStates();
    this.#checkLeader();
    const serving = counted.filter((p) => p.accepts.size > 0);
    assert.equal(String(pool.workers.map((w) => w.workerId)), String([...this.#processes.keys()]));
    if (serving.length === 0 || this.#released) return;
    for (const slot of this.#opened) {
      const acceptors = serving.filter((p) => p.accepts.has(slot));
      const responsive = acceptors.filter((p) => now - p.respondedAt < SILENT_MS).length;
      assert.ok(acceptors.length > 0, `slot ${slot} has no acceptor`);
      if (!serving.some((p) => now - p.respondedAt < SILENT_MS)) continue;
      // Two share a slot until the newer one is stable, or at the stop.
      const pair = serving.filter((p) => p.slot === slot).length === 2;
      // As do a worker whose app is not ready and a neighbour, until either has confirmed.
      if (counted.some((p) => p.slot === slot && (!p.appReady || now - p.changedAt < ASIDE_MS))) continue;
      assert.ok(responsive === 1 || (responsive === 2 && pair), `slot ${slot} has ${responsive} responsive acceptors`);
    }
  }

  /** No worker leads only if none can. */
  #checkLeader(): void {
    if (this.pool.stopping || [...this.#processes.values()].some((p) => p.leads)) return;
    for (const { workerId, state, lead } of this.pool.workers) {
      const p = this.#processes.get(workerId);
      if (lead === 'none' || !p || p.writtenOff || this.now - p.respondedAt >= SILENT_MS) continue;
      assert.ok(state !== 'ready' && state !== 'leaving', `${workerId} could lead, and none does`);
    }
  }

  /** A worker's state only goes forward, and a worker that was killed keeps its state. */
  #checkStates(): void {
    for (const { workerId, state } of this.pool.workers) {
      const before = this.#states.get(workerId) ?? 'booting';
      assert.ok(STATES.indexOf(state) >= STATES.indexOf(before), `worker ${workerId} went from ${before} to ${state}`);
      assert.equal(state, this.#killed.get(workerId) ?? state, `worker ${workerId} was killed`);
      this.#states.set(workerId, state);
    }
  }

  #checkSurplus(counted: readonly Process[]): void {
    const sizes = new Map<number, number>();
    for (const { slot } of counted) sizes.set(slot, (sizes.get(slot) ?? 0) + 1);
    const pairs = [...sizes.values()].filter((size) => size > 1);
    assert.ok(pairs.length === 0 || String(pairs) === '2', `more than one process too many: ${pairs}`);
  }
}
