/**
 * Who the client is, behind proxies: RFC 7239 `Forwarded` and the older `X-Forwarded-For`, believed only from trusted
 * peers. Read from the right: each proxy appends the address it saw, so the first address that is not a trusted proxy
 * is the client.
 */
import { BlockList, isIP } from 'node:net';

interface ForwardingHeaders {
  readonly forwardedFor: string;
  readonly forwarded: string;
}

/** The client's address for a connection from `remote` ('' is a unix socket) with these headers. */
export type ForwardedClient = (remote: string, headers: ForwardingHeaders) => string;

const NAMED: Readonly<Record<string, readonly string[]>> = {
  loopback: ['127.0.0.0/8', '::1/128'],
  linklocal: ['169.254.0.0/16', 'fe80::/10'],
  uniquelocal: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'],
};

/** `allowed` as in `TSUNICORN_FORWARDED_ALLOW_IPS`, already validated. */
export function forwardedClient(allowed: readonly string[]): ForwardedClient {
  const everybody = allowed.includes('*');
  const list = new BlockList();
  for (const range of allowed.flatMap((entry) => NAMED[entry] ?? [entry])) {
    if (range === '*') continue;
    const [address = '', prefix] = range.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    if (prefix === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(prefix), family);
  }
  const trusted = (address: string): boolean =>
    everybody || address === '' || list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');

  return (remote, { forwardedFor, forwarded }) => {
    if ((forwardedFor === '' && forwarded === '') || !trusted(remote)) return remote;
    // A proxy that knows only the older header passes on what the client wrote into the newer one.
    const hops = forwardedFor !== '' ? forwardedFor.split(',').map(bareAddress) : forwardedHops(forwarded);
    let client = remote;
    for (const hop of hops.reverse()) {
      if (isIP(hop) === 0) break; // "unknown", an obfuscated name or rubbish: nothing behind it can be believed
      client = hop;
      if (!trusted(hop)) break;
    }
    return client;
  };
}

/** Lists and parameters, split outside of quoted strings (RFC 9110, section 5.6.4). */
const QUOTED = /"(?:\\.|[^"\\])*"/g;
const ELEMENTS = /(?:"(?:\\.|[^"\\])*"|[^,"])+/g;
const PARAMETERS = /(?:"(?:\\.|[^"\\])*"|[^;"])+/g;

/** The `for=` addresses of RFC 7239, section 4, left to right; an element without one stands as ''. */
function forwardedHops(header: string): string[] {
  if (header.replace(QUOTED, '').includes('"')) return []; // an open quote: where elements end is anybody's guess
  return (header.match(ELEMENTS) ?? []).map((element) => {
    const parameter = element.match(PARAMETERS)?.find((p) => /^\s*for=/i.test(p));
    return bareAddress(parameter?.replace(/^\s*for=/i, '').replaceAll('"', '') ?? '');
  });
}

/** Without brackets and port: `[2001:db8::1]:4711` and `192.0.2.1:80`. */
function bareAddress(text: string): string {
  const trimmed = text.trim();
  const inBrackets = /^\[([^\]]+)\](?::\d+)?$/.exec(trimmed)?.[1];
  if (inBrackets !== undefined) return inBrackets;
  return /^[\d.]+:\d+$/.test(trimmed) ? trimmed.slice(0, trimmed.indexOf(':')) : trimmed;
}
