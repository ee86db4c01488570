/**
 * The other end of an accepted connection, learnt once, at accept. Later it is too late: Node.js emits requests whose
 * client has reset the connection, and such a socket has no address any more.
 *
 * A trusted peer is a proxy that speaks for its client: RFC 7239 `Forwarded` and the older `X-Forwarded-*`. They are read
 * from the right: each proxy appends the address it saw, so the first that is no trusted proxy is the client.
 */
import { BlockList, isIP, type Socket } from 'node:net';

export type Trust = (address: string) => boolean;

/** Header values, '' where there is none. */
export interface OriginHeaders {
  readonly forwardedFor: string;
  readonly forwarded: string;
  readonly forwardedProto: string;
  readonly forwardedHost: string;
}

export class Peer {
  readonly kind: 'tcp' | 'unix';
  /** Empty for a unix socket. */
  readonly address: string;
  readonly #trusts: Trust;
  #trusted: boolean | undefined;

  constructor(kind: 'tcp' | 'unix', address: string, trusts: Trust) {
    this.kind = kind;
    this.address = address;
    this.#trusts = trusts;
  }

  /** Undefined for a TCP client that has reset the connection already: its requests would have no sender. */
  static of({ remoteAddress }: Socket, kind: Peer['kind'], trusts: Trust): Peer | undefined {
    const address = kind === 'unix' ? '' : remoteAddress;
    return address === undefined ? undefined : new Peer(kind, address, trusts);
  }

  /** Of a socket that the app itself handed to node:http. */
  static untrusted({ remoteAddress = '' }: Socket): Peer {
    return new Peer('tcp', remoteAddress, () => false);
  }

  /** Whether its forwarding headers are believed (`TSUNICORN_FORWARDED_ALLOW_IPS`). */
  get trusted(): boolean {
    this.#trusted ??= this.kind === 'unix' || this.#trusts(this.address);
    return this.#trusted;
  }

  /** The client's address, behind trusted proxies; empty where a unix socket hides it. */
  clientOf(headers: Pick<OriginHeaders, 'forwardedFor' | 'forwarded'>): string {
    const isForwarded = headers.forwardedFor !== '' || headers.forwarded !== '';
    return isForwarded && this.trusted ? this.#walk(headers).client : this.address;
  }

  /** The client; and scheme (`http` or `https`) and host (with its port) as it used them, where a trusted proxy said so. */
  originOf(headers: OriginHeaders) {
    const { forwardedFor, forwarded, forwardedProto, forwardedHost } = headers;
    // As with the address: the newer header counts only where no proxy uses the older ones.
    const older = forwardedProto !== '' || forwardedHost !== '' || forwardedFor !== '';
    if ((!older && forwarded === '') || !this.trusted)
      return { client: this.address, scheme: undefined, host: undefined };
    const { client, passed } = this.#walk(headers);
    const element = older ? '' : outermost(forwardedElements(forwarded), passed);
    const scheme = older ? outermost(forwardedProto.split(','), passed) : parameterOf(element, 'proto');
    const host = older ? outermost(forwardedHost.split(','), passed) : parameterOf(element, 'host');
    return { client, scheme: /^https?$/i.test(scheme) ? scheme.toLowerCase() : undefined, host: host || undefined };
  }

  /** `passed`: trusted proxies between this one and the client. */
  #walk({ forwardedFor, forwarded }: Pick<OriginHeaders, 'forwardedFor' | 'forwarded'>) {
    // A proxy that knows only the older header passes on what the client wrote into the newer one.
    const hops =
      forwardedFor !== ''
        ? forwardedFor.split(',')
        : forwardedElements(forwarded).map((element) => parameterOf(element, 'for'));
    let client = this.address;
    let passed = 0;
    for (const hop of hops.map(bareAddress).reverse()) {
      if (isIP(hop) === 0) break; // "unknown", an obfuscated name or rubbish: nothing behind it can be believed
      client = hop;
      if (!this.#trusts(hop)) break;
      passed++;
    }
    return { client, passed };
  }
}

const NAMED: Readonly<Record<string, readonly string[]>> = {
  loopback: ['127.0.0.0/8', '::1/128'],
  linklocal: ['169.254.0.0/16', 'fe80::/10'],
  uniquelocal: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'],
};

/** `allowed` as in `TSUNICORN_FORWARDED_ALLOW_IPS`, already validated. */
export function trustIn(allowed: readonly string[]): Trust {
  if (allowed.includes('*')) return () => true;
  const list = new BlockList();
  const familyOf = (address: string) => (isIP(address) === 6 ? 'ipv6' : 'ipv4');
  for (const range of allowed.flatMap((entry) => NAMED[entry] ?? [entry])) {
    const [address = '', prefix] = range.split('/');
    if (prefix === undefined) list.addAddress(address, familyOf(address));
    else list.addSubnet(address, Number(prefix), familyOf(address));
  }
  return (address) => list.check(address, familyOf(address));
}

/** The value that the outermost trusted proxy added. A proxy that replaces the list leaves a shorter one. */
function outermost(values: readonly string[], passed: number): string {
  return values[Math.max(0, values.length - 1 - passed)]?.trim() ?? '';
}

/** Lists and parameters, split outside of quoted strings (RFC 9110, section 5.6.4). */
const QUOTED = /"(?:\\.|[^"\\])*"/g;
const ELEMENTS = /(?:"(?:\\.|[^"\\])*"|[^,"])+/g;
const PARAMETERS = /(?:"(?:\\.|[^"\\])*"|[^;"])+/g;

/** The elements of RFC 7239, section 4, left to right: one a proxy. */
function forwardedElements(header: string): string[] {
  if (header.replace(QUOTED, '').includes('"')) return []; // an open quote: where elements end is a guess
  return header.match(ELEMENTS) ?? [];
}

/** Without quotes; '' where there is none. */
function parameterOf(element: string, name: string): string {
  const start = new RegExp(`^\\s*${name}=`, 'i');
  const parameter = element.match(PARAMETERS)?.find((p) => start.test(p)) ?? '';
  return parameter.replace(start, '').replaceAll('"', '').trim();
}

/** Without brackets and port: `[2001:db8::1]:4711` and `192.0.2.1:80`. */
function bareAddress(text: string): string {
  const trimmed = text.trim();
  const inBrackets = /^\[([^\]]+)\](?::\d+)?$/.exec(trimmed)?.[1];
  if (inBrackets !== undefined) return inBrackets;
  return /^[\d.]+:\d+$/.test(trimmed) ? trimmed.slice(0, trimmed.indexOf(':')) : trimmed;
}
