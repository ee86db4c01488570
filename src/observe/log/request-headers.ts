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
    if (isNamed(name, 'referer')) seen.referer = value;
    else if (isNamed(name, 'forwarded')) seen.forwarded = joined(seen.forwarded, value);
    else if (isNamed(name, 'user-agent')) seen.userAgent = value;
    else if (isNamed(name, 'traceparent')) seen.traceparent = value;
    else if (isNamed(name, 'x-request-id')) seen.requestId = value;
    else if (isNamed(name, 'x-forwarded-for')) seen.forwardedFor = joined(seen.forwardedFor, value);
  }
  return seen;
}

/** All values of the header `lower`, in a form that one line could have; '' where there is none. */
export function headerOf(rawHeaders: readonly string[], lower: string): string {
  let list = '';
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    if (isNamed(rawHeaders[i] as string, lower)) list = joined(list, rawHeaders[i + 1] as string);
  }
  return list;
}

/** Whether there is a header `lower`. */
export function hasField(rawHeaders: readonly string[], lower: string): boolean {
  for (let i = 0; i < rawHeaders.length; i += 2) if (isNamed(rawHeaders[i] as string, lower)) return true;
  return false;
}

/** The length rules out nearly every header without comparing text. */
function isNamed(name: string, lower: string): boolean {
  return name.length === lower.length && (name === lower || name.toLowerCase() === lower);
}

/** As RFC 9110, section 5.3, joins the lines of a field. */
function joined(list: string, value: string): string {
  return list === '' ? value : `${list}, ${value}`;
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
