/** Asks the workers for fresh values when somebody scrapes, and waits for stragglers only so long. */

/** A worker that is stopped or stuck delays a scrape by no more than this (contract, section 8). */
export const PATIENCE_MS = 250;

/**
 * So many a CPU work on their answers at a time, as long as answers come. The arbiter has to wait its turn among them;
 * fewer leave CPUs idle while it reads what came (docs/decisions/0008-metrics.md has the figures).
 */
const PLACES_PER_CPU = 2;

/** Where answers do not come, the others are asked all the same, spread over this time: with some left to answer in. */
const CATCH_UP_MS = { from: 100, to: 200 };
const CHECK_MS = 20;

export interface Asked {
  readonly workerId: number;
  ask(serial: number): void;
}

export interface CollectorOptions {
  /** Cores that may be used. */
  cpus(): number;
  /** Milliseconds of a monotonic clock. */
  now(): number;
}

export class Collector {
  readonly #options: CollectorOptions;
  #serial = 0;
  #round: Round | undefined;
  /** Those that let a scrape wait in vain and have not said a word since. */
  readonly #silent = new Set<number>();
  #current: Promise<void> | undefined;

  constructor(options: CollectorOptions) {
    this.#options = options;
  }

  /** Resolves when all have answered, or at the latest after {@link PATIENCE_MS}. Calls at the same time share one round. */
  collect(workers: Iterable<Asked>): Promise<void> {
    this.#current ??= this.#collect([...workers]).finally(() => {
      this.#current = undefined;
    });
    return this.#current;
  }

  /** A worker said something: the next scrape waits for it again. */
  heard(workerId: number): void {
    this.#silent.delete(workerId);
  }

  answered(workerId: number, serial: number): void {
    if (serial === this.#serial) this.#round?.done(workerId);
  }

  gone(workerId: number): void {
    this.heard(workerId);
    this.#round?.done(workerId);
  }

  async #collect(workers: readonly Asked[]): Promise<void> {
    const serial = ++this.#serial;
    const { silent = [], others = [] } = Object.groupBy(workers, ({ workerId }) =>
      this.#silent.has(workerId) ? 'silent' : 'others',
    );
    this.#round = new Round(others, serial, this.#options);
    for (const worker of silent) worker.ask(serial);
    for (const workerId of await this.#round.missing) this.#silent.add(workerId);
    this.#round = undefined;
  }
}

/** One round of questions. */
class Round {
  readonly #workers: readonly Asked[];
  readonly #serial: number;
  readonly #places: number;
  /** So many of the workers have had their turn. */
  #turns = 0;
  /** Those that have been asked and have not answered. */
  readonly #busy = new Set<number>();
  readonly #missing: Set<number>;
  readonly #end = Promise.withResolvers<ReadonlySet<number>>();
  readonly #timers: readonly NodeJS.Timeout[];

  constructor(workers: readonly Asked[], serial: number, { cpus, now }: CollectorOptions) {
    this.#workers = workers;
    this.#serial = serial;
    this.#missing = new Set(workers.map(({ workerId }) => workerId));
    this.#places = Math.max(PLACES_PER_CPU, Math.ceil(cpus() * PLACES_PER_CPU));
    const { from, to } = CATCH_UP_MS;
    const startedAt = now();
    const due = (): number => ((now() - startedAt - from) / (to - from)) * workers.length;
    this.#timers = [
      setTimeout(() => this.#finish(), PATIENCE_MS),
      // Once the loop has read what came while it was busy.
      setInterval(() => setImmediate(() => this.#ask(due())), CHECK_MS),
    ];
    this.#ask();
  }

  /** Resolves at the end with those that have not answered. */
  get missing(): Promise<ReadonlySet<number>> {
    return this.#end.promise;
  }

  /** It answered, or will never. */
  done(workerId: number): void {
    this.#missing.delete(workerId);
    this.#busy.delete(workerId);
    this.#ask();
  }

  /** Fills the places, and goes on where not so many have been asked as are `due` by now. */
  #ask(due = 0): void {
    if (this.#missing.size === 0) return this.#finish();
    while (this.#busy.size < this.#places || this.#turns < due) {
      const worker = this.#workers[this.#turns];
      if (worker === undefined) return;
      this.#turns++;
      if (!this.#missing.has(worker.workerId)) continue;
      this.#busy.add(worker.workerId);
      worker.ask(this.#serial);
    }
  }

  #finish(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#end.resolve(this.#missing);
  }
}
