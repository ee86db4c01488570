/**
 * Keeps a worker from taking on requests for which there is no memory (docs/decisions/0012-memory-brake.md). It looks
 * how full the group and the heap are, the more often the faster they fill; when what is left is the reserve, new
 * requests wait, and the arbiter is told, which replaces a worker. It exists where there is a memory limit.
 */
import type { Gauge } from './memory-gauges.ts';

/** Each open connection may bring a request that costs as much as those before; no more than this of the limit. */
const ON_THE_WAY_SHARE = 0.125;
/** The brake is released with this much of the reserve to spare, so that it does not flutter. */
const SLACK = 0.5;

/** Requests from one look to the next. A look takes 8 µs, so that it is 0.04 µs a request where memory does not grow. */
const MOST_BETWEEN = 256;
const FIRST_AFTER = 1;
/** A small integer to V8, so that to count down costs nothing. */
const NEVER = 2 ** 30;
/** The next requests are taken to cost what so many before them did. */
const JUDGED_BY = 64;
/** Of the limit. Where so much was given back, requests that cost nothing before may do so now. */
const MUCH = 1 / 64;

/** Memory may also grow without a request. */
const IDLE_LOOK_MS = 250;
const HOLD_LOOK_MS = 25;
/** Until the arbiter is called: what a collection frees is given back to the kernel a little later. */
const FIRST_CALL_MS = 100;
/** The arbiter forgets a call that comes while it makes room already. */
const CALL_AGAIN_MS = 500;
/** The boot of a replacement takes half a second, and a drain about as long. After this it serves on, come what may. */
const LONGEST_HOLD_MS = 10_000;

export interface BrakeEvents {
  /** Milliseconds. */
  readonly now: () => number;
  /** Open connections of this worker. */
  readonly connections: () => number;
  /** The arbiter is to know which gauge is full, now and as long as nothing has changed. */
  readonly full: (gauge: Gauge) => void;
  /** New requests wait, so new connections had better wait in the kernel; or no longer. */
  readonly hold: (on: boolean) => void;
}

interface Reading {
  readonly gauge: Gauge;
  last: number | undefined;
  /** By how much it rose during how many of the last requests of this worker; what others took meanwhile counts too. */
  grown: number;
  requests: number;
}

export class Brake {
  readonly #events: BrakeEvents;
  readonly #waiting: (() => void)[] = [];
  #readings: readonly Reading[] = [];
  #timer: NodeJS.Timeout | undefined;
  #between = FIRST_AFTER;
  #left = FIRST_AFTER;
  #heldSince: number | undefined;
  #callsAt = 0;
  /** To hold was of no use. It is not tried again before there is room. */
  #spent = false;

  constructor(events: BrakeEvents) {
    this.#events = events;
  }

  /** From now on, in place of what it watched. Nothing: there is no limit, or the worker ends and serves what it has. */
  watch(gauges: readonly Gauge[]): void {
    clearTimeout(this.#timer);
    this.#readings = gauges.map((gauge) => ({ gauge, last: undefined, grown: 0, requests: 0 }));
    this.#spent = false;
    this.#between = FIRST_AFTER;
    if (gauges.length > 0) return this.#look(0);
    this.#left = NEVER;
    this.#release();
  }

  /** Nobody can make room: what waits is served, and what comes, until there is room again. */
  giveUp(): void {
    if (this.#heldSince === undefined) return;
    this.#spent = true;
    this.#release();
  }

  /** Asked for each request: whether it has to {@link wait}. */
  get holds(): boolean {
    if (this.#heldSince !== undefined) return true;
    if (--this.#left > 0) return false;
    this.#look(this.#between);
    return this.#heldSince !== undefined;
  }

  /** In the order in which they came. */
  wait(serve: () => void): void {
    this.#waiting.push(serve);
  }

  /** @param requests so many since the last look */
  #look(requests: number): void {
    clearTimeout(this.#timer);
    if (this.#readings.length === 0) {
      this.#left = NEVER;
      return;
    }
    let ahead = Math.min(2 * this.#between, MOST_BETWEEN);
    let full: Gauge | undefined;
    let relieved = true;
    for (const reading of this.#readings) {
      const room = this.#room(reading, requests);
      if (room === undefined) {
        relieved = false;
        continue;
      }
      const short = room < SLACK * reading.gauge.reserveBytes;
      if (short) relieved = false;
      // What holds it is full until there is room to spare, or it would wait for somebody who waits for its call.
      if (room <= 0 || (short && this.#heldSince !== undefined)) full ??= reading.gauge;
      const growth = growthOf(reading);
      if (growth > 0) ahead = Math.min(ahead, room / (2 * growth));
      if (reading.requests === 0) ahead = FIRST_AFTER;
    }
    if (relieved) this.#spent = false;
    if (this.#heldSince !== undefined) this.#goOn(relieved, full);
    else if (full && !this.#spent) this.#begin();
    if (this.#spent) ahead = MOST_BETWEEN;
    // While it holds nothing passes, and what came before says little of what comes after.
    this.#between = this.#heldSince === undefined ? Math.max(1, Math.floor(ahead)) : FIRST_AFTER;
    this.#left = this.#between;
    const every = this.#heldSince === undefined ? IDLE_LOOK_MS : HOLD_LOOK_MS;
    this.#timer = setTimeout(() => this.#look(this.#between - this.#left), every).unref();
  }

  /** Bytes beyond the reserve and what the requests on the way may take. Undefined: it cannot be told now. */
  #room(reading: Reading, requests: number): number | undefined {
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
    // What is served in any case is not worth a collection before its time.
    const exact = gauge.exact(quick, this.#spent ? Number.POSITIVE_INFINITY : most);
    const last = gauge.quick() ?? quick;
    if (quick - last > MUCH * gauge.limitBytes) Object.assign(reading, { last, grown: 0, requests: 0 });
    return exact === undefined ? undefined : most - exact;
  }

  #begin(): void {
    this.#heldSince = this.#events.now();
    this.#callsAt = this.#heldSince + FIRST_CALL_MS;
    this.#events.hold(true);
  }

  #goOn(relieved: boolean, full: Gauge | undefined): void {
    const now = this.#events.now();
    if (relieved) this.#release();
    else if (now - (this.#heldSince ?? now) >= LONGEST_HOLD_MS) this.giveUp();
    else if (full && now >= this.#callsAt) {
      this.#callsAt = now + CALL_AGAIN_MS;
      this.#events.full(full);
    }
  }

  #release(): void {
    if (this.#heldSince === undefined) return;
    this.#heldSince = undefined;
    this.#between = FIRST_AFTER;
    this.#left = FIRST_AFTER;
    this.#events.hold(false);
    setImmediate(this.#serveNext);
  }

  /** One in a turn of the loop, so that it hears of everything else that happens. */
  readonly #serveNext = (): void => {
    if (this.#waiting.length === 0 || this.holds) return;
    this.#waiting.shift()?.();
    setImmediate(this.#serveNext);
  };
}

/** Bytes a request. */
function growthOf({ grown, requests }: Reading): number {
  return requests === 0 ? 0 : grown / requests;
}
