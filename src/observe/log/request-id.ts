/** The id of a request: what the client or a proxy gave it, else one of our own. */
import type { SeenHeaders } from './seen-headers.ts';

/** Longer ids are cut: they come from outside and stand on every line. */
const MAX_LENGTH = 128;

/**
 * `traceparent`: version, trace id, parent id, flags (W3C Trace Context, section 3.2). Version ff is forbidden, an id of
 * zeros invalid; a later version may have more at its end.
 */
const TRACEPARENT = /^(?!ff)[\da-f]{2}-(?!0{32})([\da-f]{32})-(?!0{16})[\da-f]{16}-[\da-f]{2}(-|$)/;

/** The trace id of a valid `traceparent`; '' where there is none. */
export function traceIdOf({ traceparent }: SeenHeaders): string {
  return traceparent === '' ? '' : (TRACEPARENT.exec(traceparent)?.[1] ?? '');
}

/** `X-Request-Id`, else the trace id; '' where the request came with neither. */
export function givenId(seen: SeenHeaders): string {
  return seen.requestId !== '' ? seen.requestId.slice(0, MAX_LENGTH) : traceIdOf(seen);
}

export class RequestIds {
  /**
   * Own ids are a random prefix a worker and a number: unique, and much cheaper than random bytes a request. They are no
   * secret, and `node:crypto` alone takes 3 MB a worker.
   */
  readonly prefix = hexDigits(6) + hexDigits(6);

  /** The id that the request came with, else one made of `serial`, the number of the request. */
  of(serial: number, seen: SeenHeaders): string {
    return givenId(seen) || `${this.prefix}${serial.toString(16).padStart(8, '0')}`;
  }
}

function hexDigits(count: number): string {
  return Math.floor(Math.random() * 16 ** count)
    .toString(16)
    .padStart(count, '0');
}
