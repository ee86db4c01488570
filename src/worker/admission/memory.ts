/**
 * Keeps a worker from taking on requests for which there is no memory (docs/decisions/0012-memory-admission.md). It reads
 * how full the group and the heap are, more often the faster they fill. When only the reserve is left it holds new
 * requests and tells the arbiter, which replaces a worker.
 */
import type { Gauge } from './memory-gauges.ts';

/** Each open connection may bring a request that costs as much as those before; in all at most this share of the limit. */
const ON_THE_WAY_SHARE = 0.125;
/** Share of the reserve that has to be free before requests go on, so that it does not flutter. */
const SLACK = 0.5;

/** Requests from one look to the next. A look takes 8 µs, so that it is 0.04 µs a request where memory does not grow. */
const MOST_BETWEEN = 256;
/** Small enough that V8 counts down without allocating. */
const NEVER = 2 ** 30;
/** The next requests are assumed to cost what so many before them did. */
const JUDGED_BY = 64;
/** Share of the limit. After so much was reclaimed, requests that looked free before may cost now. */
const MUCH = 1 / 64;

/** Memory may also grow without a request. */
const IDLE_LOOK_MS = 250;
const HOLD_LOOK_MS = 25;
/** Before it calls the arbiter: freed memory goes back to the kernel a little later. */
const FIRST_CALL_MS = 100;
/** The arbiter ignores a call while it is making room already. */
const CALL_AGAIN_MS = 500;
/** A replacement boots in half a second, and a drain takes about as long. After this requests go on regardless. */
const LONGEST_HOLD_MS = 10_000;

export interface MemoryAdmissionEvents {
  readonly now: () => number;
  readonly connections: () => number;
  /** Tells the arbiter which gauge is full, again and again while nothing has changed. */
  readonly full: (gauge: Gauge) => void;
  /** New requests wait, so new connections should wait in the kernel; or no longer. */
  readonly hold: (on: boolean) => void;
}

interface GaugeReading {
  readonly gauge: Gauge;
  last: number | undefined;
  /** Bytes by which it rose during the last `requests` of this worker; growth caused by others counts too. */
  grown: number;
  requests: number;
}

export class MemoryAdmission {
  readonly #events: MemoryAdmissionEvents;
  readonly #waiting: (() => void)[] = [];
  #readings: readonly GaugeReading[] = [];
  #timer: NodeJS.Timeout | undefined;
  /** Requests from the last look to the next, and those left of them. */
  #between = 1;
  #left = 1;
  #heldSince: number | undefined;
  #callsAt = 0;
  /** Holding did not help. It is not tried again before there is room. */
  #gaveUp = false;

  constructor(events: MemoryAdmissionEvents) {
    this.#events = events;
  }

  /** Replaces the gauges that it watches. None: there is no limit, or the worker drains and serves what it has. */
  watch(gauges: readonly Gauge[]): void {
    this.#readings = gauges.map((gauge) => ({ gauge, last: undefined, grown: 0, requests: 0 }));
    this.#gaveUp = false;
    this.#lookAfter(1);
    this.#look();
  }

  /** Nothing can make room: serve what waits, and what comes, until there is room again. */
  releaseHold(): void {
    if (this.#heldSince === undefined) return;
    this.#gaveUp = true;
    this.#release();
  }

  /** Asked once for each request: whether it has to {@link wait}. */
  get holds(): boolean {
    if (this.#heldSince !== undefined) return true;
    if (--this.#left > 0) return false;
    this.#look();
    return this.#heldSince !== undefined;
  }

  wait(serve: () => void): void {
    this.#waiting.push(serve);
  }

  #lookAfter(requests: number): void {
    this.#between = requests;
    this.#left = requests;
  }

  readonly #look = (): void => {
    clearTimeout(this.#timer);
    if (this.#readings.length === 0) {
      this.#release();
      return this.#lookAfter(NEVER);
    }
    const requests = this.#between - this.#left;
    let ahead = Math.min(2 * this.#between, MOST_BETWEEN);
    let full: Gauge | undefined;
    let relieved = true;
    for (const reading of this.#readings) {
      const room = this.#room(reading, requests);
      const short = room === undefined || room < SLACK * reading.gauge.reserveBytes;
      if (short) relieved = false;
      if (room === undefined) continue;
      // While requests are held a gauge counts as full until there is room to spare, or the arbiter would hear no call.
      if (room <= 0 || (short && this.#heldSince !== undefined)) full ??= reading.gauge;
      const growth = growthOf(reading);
      if (growth > 0) ahead = Math.min(ahead, room / (2 * growth));
      if (reading.requests === 0) ahead = 1;
    }
    if (relieved) this.#gaveUp = false;
    this.#holdOrRelease(relieved, full);
    const holds = this.#heldSince !== undefined;
    // While requests are held none passes, and the past says little about what comes after.
    if (holds) ahead = 1;
    else if (this.#gaveUp) ahead = MOST_BETWEEN;
    this.#lookAfter(Math.max(1, Math.floor(ahead)));
    this.#timer = setTimeout(this.#look, holds ? HOLD_LOOK_MS : IDLE_LOOK_MS).unref();
  };

  /** Bytes beyond the reserve and what the requests on the way may take. Undefined: unknown at the moment. */
  #room(reading: GaugeReading, requests: number): number | undefined {
    const { gauge } = reading;
    const quick = gauge.quick();
    if (quick === undefined) return undefined;
    reading.grown += Math.max(0, quick - (reading.last ?? quick));
    reading.requests += requests;
    reading.last = quick;
    if (reading.requests > JUDGED_BY) {
      reading.grown *= JUDGED_BY / reading.requests;
      reading.requests = JUDGED_BY;
    }
    const onTheWay = Math.min(growthOf(reading) * this.#events.connections(), ON_THE_WAY_SHARE * gauge.limitBytes);
    const most = gauge.limitBytes - gauge.reserveBytes - onTheWay;
    if (quick < most) return most - quick;
    // What is served in any case is not worth an early collection.
    const exact = gauge.exact(quick, this.#gaveUp ? Number.POSITIVE_INFINITY : most);
    const last = gauge.quick() ?? quick;
    if (quick - last > MUCH * gauge.limitBytes) Object.assign(reading, { last, grown: 0, requests: 0 });
    return exact === undefined ? undefined : most - exact;
  }

  #holdOrRelease(relieved: boolean, full: Gauge | undefined): void {
    const now = this.#events.now();
    if (this.#heldSince === undefined) {
      if (!full || this.#gaveUp) return;
      this.#heldSince = now;
      this.#callsAt = now + FIRST_CALL_MS;
      this.#events.hold(true);
    } else if (relieved) this.#release();
    else if (now - this.#heldSince >= LONGEST_HOLD_MS) this.releaseHold();
    else if (full && now >= this.#callsAt) {
      this.#callsAt = now + CALL_AGAIN_MS;
      this.#events.full(full);
    }
  }

  #release(): void {
    if (this.#heldSince === undefined) return;
    this.#heldSince = undefined;
    this.#events.hold(false);
    setImmediate(this.#serveNext);
  }

  /** One per turn of the event loop, so that everything else gets its turn too. */
  readonly #serveNext = (): void => {
    if (this.#waiting.length === 0 || this.holds) return;
    this.#waiting.shift()?.();
    setImmediate(this.#serveNext);
  };
}

/** Bytes per request. */
function growthOf({ grown, requests }: GaugeReading): number {
  return requests === 0 ? 0 : grown / requests;
}
