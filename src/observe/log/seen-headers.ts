/** Picks what the logs need out of a request's headers. */

/** The request headers that a line needs, picked from the raw list: `req.headers` would build all of them. */
export interface SeenHeaders {
  referer: string;
  userAgent: string;
  requestId: string;
  traceparent: string;
  forwardedFor: string;
  forwarded: string;
}

export function scan(rawHeaders: readonly string[]): SeenHeaders {
  const seen: SeenHeaders = {
    referer: '',
    userAgent: '',
    requestId: '',
    traceparent: '',
    forwardedFor: '',
    forwarded: '',
  };
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string;
    const value = rawHeaders[i + 1] as string;
    // The length rules out nearly every header before any text is compared.
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
