/** Asks the workers for fresh values when somebody scrapes, and waits for stragglers only so long. */
import { setImmediate as turn } from 'node:timers/promises';

/** A worker that is stopped or stuck delays a scrape by no more than this (contract, section 8). */
export const PATIENCE_MS = 250;

/** So many are asked in a turn of the loop, that their answers do not all come in one. */
const ASKED_AT_ONCE = 16;

export interface Asked {
  readonly age: number;
  ask(serial: number): void;
}

export class Collector {
  #serial = 0;
  /** Ages that have not answered, for each serial number. */
  readonly #waiting = new Map<number, { readonly ages: Set<number>; readonly done: () => void }>();
  /** Those that let a scrape wait in vain and have not said a word since. */
  readonly #silent = new Set<number>();
  #current: Promise<void> | undefined;

  /** Resolves when all have answered, or at the latest after {@link PATIENCE_MS}. Calls at the same time share one round. */
  collect(workers: Iterable<Asked>): Promise<void> {
    this.#current ??= this.#round([...workers]).finally(() => {
      this.#current = undefined;
    });
    return this.#current;
  }

  /** A worker said something: the next scrape waits for it again. */
  heard(age: number): void {
    this.#silent.delete(age);
  }

  answered(age: number, serial: number): void {
    const round = this.#waiting.get(serial);
    if (round?.ages.delete(age) && round.ages.size === 0) round.done();
  }

  gone(age: number): void {
    this.heard(age);
    for (const serial of this.#waiting.keys()) this.answered(age, serial);
  }

  async #round(workers: readonly Asked[]): Promise<void> {
    const serial = ++this.#serial;
    const { promise, resolve } = Promise.withResolvers<void>();
    const ages = new Set(workers.map(({ age }) => age).filter((age) => !this.#silent.has(age)));
    this.#waiting.set(serial, { ages, done: resolve });
    if (ages.size === 0) resolve();
    const timer = setTimeout(resolve, PATIENCE_MS);
    for (const [i, worker] of workers.entries()) {
      if (i > 0 && i % ASKED_AT_ONCE === 0) await turn();
      worker.ask(serial);
    }
    await promise;
    clearTimeout(timer);
    this.#waiting.delete(serial);
    for (const age of ages) this.#silent.add(age);
  }
}
