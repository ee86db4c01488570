/**
 * What becomes of sizing while the server runs: more workers at once, fewer once the limits have been quiet for a while,
 * and another number than sizing's from TTIN or TTOU until HUP. Pure; times in milliseconds.
 */
import type { Limits } from '../platform/limits.ts';
import { decideSizing, type Sizing, type SizingSettings } from '../sizing.ts';

/** Fewer workers come after so many intervals without change (contract, section 4): a dip is not worth the boots. */
const QUIET_INTERVALS = 6;

export interface SizerSettings extends SizingSettings {
  /** Seconds; 0: limits count as they were at the start. */
  readonly resizeInterval: number;
}

/** What to say, and what is in force from now on where that is something else than before. */
export interface Resize {
  readonly say: string;
  readonly sizing?: Sizing;
}

export class Sizer {
  readonly #settings: SizerSettings;
  readonly #quietMs: number;
  #limits: Limits;
  #inForce: Sizing;
  /** From TTIN and TTOU. */
  #number: number | undefined;
  #shrink: { readonly workers: number; readonly since: number } | undefined;

  constructor(settings: SizerSettings, limits: Limits) {
    this.#settings = settings;
    this.#quietMs = Math.round(settings.resizeInterval * QUIET_INTERVALS * 1000);
    this.#limits = limits;
    this.#inForce = decideSizing(settings, limits);
  }

  get inForce(): Sizing {
    return this.#inForce;
  }

  /** The limits as they are now. Undefined where nothing follows from them. */
  look(limits: Limits, now: number): Resize | undefined {
    if (this.#settings.resizeInterval === 0) return undefined;
    this.#limits = limits;
    const wanted = this.#decide();
    const { workers } = this.#inForce;
    if (wanted.workers < workers) return this.#waitToShrink(wanted, now);
    this.#shrink = undefined;
    return this.#take(wanted);
  }

  /** TTIN and TTOU. */
  set(workers: number): Resize | undefined {
    this.#number = Math.max(1, workers);
    this.#shrink = undefined;
    return this.#take(this.#decide());
  }

  /** HUP: the number is sizing's again, at once. */
  reset(): Resize | undefined {
    this.#number = undefined;
    this.#shrink = undefined;
    return this.#take(this.#decide());
  }

  #decide(): Sizing {
    return decideSizing(this.#settings, this.#limits, this.#number);
  }

  #waitToShrink(wanted: Sizing, now: number): Resize | undefined {
    if (this.#shrink?.workers === wanted.workers) {
      return now - this.#shrink.since >= this.#quietMs ? this.#take(wanted) : undefined;
    }
    this.#shrink = { workers: wanted.workers, since: now };
    const seconds = this.#quietMs / 1000;
    return { say: `fewer workers in ${seconds} s, unless the limits change again: ${wanted.why}` };
  }

  #take(wanted: Sizing): Resize | undefined {
    const { workers, heapBytes, maxRss, cpus } = this.#inForce;
    const same = wanted.heapBytes === heapBytes && wanted.maxRss === maxRss && wanted.cpus === cpus;
    if (same && wanted.workers === workers) return undefined;
    this.#inForce = wanted;
    this.#shrink = undefined;
    const say = wanted.workers === workers ? 'other limits' : `resized from ${workers}`;
    return { say: `${say}: ${wanted.why}`, sizing: wanted };
  }
}
