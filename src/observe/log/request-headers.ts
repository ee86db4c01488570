/** What the logs need of a request's headers, and the request's id. */

/** Picked from the raw list: `req.headers` would parse all of them. '' where there is none. */
export interface SeenHeaders {
  referer: string;
  userAgent: string;
  requestId: string;
  traceparent: string;
  forwardedFor: string;
  forwarded: string;
}

export function scan(rawHeaders: readonly string[]): SeenHeaders {
  const seen = { referer: '', userAgent: '', requestId: '', traceparent: '', forwardedFor: '', forwarded: '' };
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string;
    const value = rawHeaders[i + 1] as string;
    // The length rules out nearly every header without comparing text.
    switch (name.length) {
      case 7:
        if (isNamed(name, 'referer')) seen.referer = value;
        break;
      case 9:
        if (isNamed(name, 'forwarded')) seen.forwarded += seen.forwarded === '' ? value : `, ${value}`;
        break;
      case 10:
        if (isNamed(name, 'user-agent')) seen.userAgent = value;
        break;
      case 11:
        if (isNamed(name, 'traceparent')) seen.traceparent = value;
        break;
      case 12:
        if (isNamed(name, 'x-request-id')) seen.requestId = value;
        break;
      case 15:
        if (isNamed(name, 'x-forwarded-for')) seen.forwardedFor += seen.forwardedFor === '' ? value : `, ${value}`;
        break;
    }
  }
  return seen;
}

function isNamed(name: string, lower: string): boolean {
  return name === lower || name.toLowerCase() === lower;
}

/** Ids come from the client and are on every line. */
const MAX_ID_LENGTH = 128;

/** W3C Trace Context, section 3.2: version (not ff), trace id, parent id (not zeros), flags; later versions may append. */
const TRACEPARENT = /^(?!ff)[\da-f]{2}-(?!0{32})([\da-f]{32})-(?!0{16})[\da-f]{16}-[\da-f]{2}(-|$)/;

/** From a valid `traceparent`, else ''. */
export function traceIdOf({ traceparent }: SeenHeaders): string {
  return traceparent === '' ? '' : (TRACEPARENT.exec(traceparent)?.[1] ?? '');
}

/** `X-Request-Id`, else the trace id, else ''. */
export function givenId(seen: SeenHeaders): string {
  return seen.requestId !== '' ? seen.requestId.slice(0, MAX_ID_LENGTH) : traceIdOf(seen);
}

export class RequestIds {
  /**
   * Own ids are a random prefix per worker and a counter: cheaper than random bytes per request. They are no secret, and
   * `node:crypto` takes 3 MB per worker.
   */
  readonly prefix = Array.from({ length: 12 }, () => Math.floor(Math.random() * 16).toString(16)).join('');

  /** The id that came with the request, else one made from `serial`, its number in this worker. */
  of(serial: number, seen: SeenHeaders): string {
    return givenId(seen) || `${this.prefix}${serial.toString(16).padStart(8, '0')}`;
  }
}
