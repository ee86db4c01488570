/**
 * Sizing while the server runs: more workers at once, fewer after the limits have been stable for a while, and the number
 * that TTIN and TTOU set until HUP; also the memory limit that workers admit requests by. Pure; times in milliseconds.
 */
import type { Settings } from '../config/settings.ts';
import type { Limits } from '../platform/kernel/limits.ts';
import { type MemoryGroup, memoryGroup } from '../platform/kernel/memory.ts';
import { decideSizing, type Sizing, type SizingSettings } from '../sizing.ts';

/** Intervals without change before workers are taken away (contract, section 4): a dip is not worth the boots. */
const QUIET_INTERVALS = 6;

/** A `resizeInterval` of 0 keeps the limits of the start. */
export type SizerSettings = SizingSettings & Pick<Settings, 'resizeInterval'>;

/** A log line, and the sizing from now on where it changed. */
export interface Resize {
  readonly say: string;
  readonly sizing?: Sizing;
}

export class Sizer {
  #settings: SizerSettings;
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

  /** The cgroup whose limit workers admit requests by: none where they are not replaced for their size either. */
  get memoryGroup(): MemoryGroup | undefined {
    return this.#settings.maxWorkerRss === 'off' ? undefined : memoryGroup(this.#limits);
  }

  /** Undefined where nothing follows from the limits. */
  look(limits: Limits, now: number): Resize | undefined {
    if (this.#settings.resizeInterval === 0) return undefined;
    this.#limits = limits;
    const wanted = decideSizing(this.#settings, this.#limits, this.#number);
    if (wanted.workers < this.#inForce.workers) return this.#waitToShrink(wanted, now);
    const meantToShrink = this.#shrink !== undefined;
    this.#shrink = undefined;
    const taken = this.#take(wanted);
    return taken ?? (meantToShrink ? { say: `still as many workers: ${wanted.why}` } : undefined);
  }

  /** TTIN and TTOU, with the number; HUP, with undefined: the number is sizing's again, at once, by settings that may be new. */
  set(workers: number | undefined, settings = this.#settings): Resize | undefined {
    this.#settings = settings;
    this.#number = workers === undefined ? undefined : Math.max(1, workers);
    this.#shrink = undefined;
    return this.#take(decideSizing(this.#settings, this.#limits, this.#number));
  }

  /** Only the number waits: each worker's share of the memory follows the limits at once. */
  #waitToShrink(wanted: Sizing, at: number): Resize | undefined {
    const begun = this.#shrink;
    const since = begun?.workers === wanted.workers ? begun.since : at;
    const leftMs = since + this.#quietMs - at;
    if (leftMs <= 0) return this.#take(wanted);
    this.#shrink = { workers: wanted.workers, since };
    const say = `fewer workers in ${Number((leftMs / 1000).toFixed(1))} s unless the limits change: ${wanted.why}`;
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
    this.#inForce = wanted;
    if (same && wanted.workers === workers) return undefined;
    this.#shrink = undefined;
    const say = wanted.workers === workers ? 'limits changed' : `resized from ${workers}`;
    return { say: `${say}: ${wanted.why}`, sizing: wanted };
  }
}
