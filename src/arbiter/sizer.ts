/**
 * What becomes of sizing while the server runs: more workers at once, fewer once the limits have been quiet for a while,
 * and another number than sizing's from TTIN or TTOU until HUP. Pure; times in milliseconds.
 */
import type { Limits } from '../platform/kernel/limits.ts';
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
    if (wanted.workers < this.#inForce.workers) return this.#waitToShrink(wanted, now);
    const meantToShrink = this.#shrink !== undefined;
    this.#shrink = undefined;
    const taken = this.#take(wanted);
    return taken ?? (meantToShrink ? { say: `no fewer workers after all: ${wanted.why}` } : undefined);
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

  /** Only the number waits. What a worker may have of the memory is that of the limits at once. */
  #waitToShrink(wanted: Sizing, at: number): Resize | undefined {
    const begun = this.#shrink;
    const since = begun?.workers === wanted.workers ? begun.since : at;
    const leftMs = since + this.#quietMs - at;
    if (leftMs <= 0) return this.#take(wanted);
    this.#shrink = { workers: wanted.workers, since };
    const say = `fewer workers in ${Number((leftMs / 1000).toFixed(1))} s, unless the limits change again: ${wanted.why}`;
    const { heapBytes, maxRss } = decideSizing(this.#settings, this.#limits, this.#inForce.workers);
    if (heapBytes === this.#inForce.heapBytes && maxRss === this.#inForce.maxRss) {
      return since === at ? { say } : undefined;
    }
    this.#inForce = { ...this.#inForce, heapBytes, maxRss, why: say, warning: undefined, inputs: wanted.inputs };
    return { say, sizing: this.#inForce };
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
