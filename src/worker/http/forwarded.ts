/**
 * Who the client is and what it asked for, behind proxies: RFC 7239 `Forwarded` and the older `X-Forwarded-*`, believed
 * only from trusted peers. Read from the right: each proxy appends the address it saw, so the first address that is not
 * a trusted proxy is the client.
 */
import { BlockList, isIP } from 'node:net';
import type { Peer } from './peer.ts';

/** Whether a proxy with this address is believed. */
export type Trust = (address: string) => boolean;

export interface ForwardingHeaders {
  readonly forwardedFor: string;
  readonly forwarded: string;
}

export interface OriginHeaders extends ForwardingHeaders {
  readonly forwardedProto: string;
  readonly forwardedHost: string;
}

/** What a request's URL is made of beside its target, and who sent it. */
export interface ForwardedOrigin {
  readonly client: string;
  /** `http` or `https`, and a host with its port, where a trusted proxy told them. */
  readonly scheme: string | undefined;
  readonly host: string | undefined;
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
  for (const range of allowed.flatMap((entry) => NAMED[entry] ?? [entry])) {
    const [address = '', prefix] = range.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    if (prefix === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(prefix), family);
  }
  return (address) => list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
}

/** The client's address; empty for a unix socket that forwards none. */
export function forwardedClient(peer: Peer, headers: ForwardingHeaders): string {
  const isForwarded = headers.forwardedFor !== '' || headers.forwarded !== '';
  return isForwarded && peer.trusted ? walk(peer, headers).client : peer.address;
}

/** Scheme and host as the client used them: what the outermost trusted proxy said. */
export function forwardedOrigin(peer: Peer, headers: OriginHeaders): ForwardedOrigin {
  const { forwardedFor, forwarded, forwardedProto, forwardedHost } = headers;
  const isForwarded = forwardedFor !== '' || forwarded !== '' || forwardedProto !== '' || forwardedHost !== '';
  if (!isForwarded || !peer.trusted) return { client: peer.address, scheme: undefined, host: undefined };
  const { client, passed } = walk(peer, headers);
  // As with the address: the newer header counts only where no proxy uses the older ones.
  const older = forwardedProto !== '' || forwardedHost !== '' || forwardedFor !== '';
  const elements = older ? [] : forwardedElements(forwarded);
  const element = elements[Math.max(0, elements.length - 1 - passed)] ?? '';
  const scheme = older ? outermost(forwardedProto, passed) : parameterOf(element, 'proto');
  const host = older ? outermost(forwardedHost, passed) : parameterOf(element, 'host');
  return { client, scheme: /^https?$/i.test(scheme) ? scheme.toLowerCase() : undefined, host: host || undefined };
}

/** From the right to the first address that is no trusted proxy. `passed`: trusted proxies behind the peer on the way. */
function walk(
  { address, trusts }: Peer,
  { forwardedFor, forwarded }: ForwardingHeaders,
): { client: string; passed: number } {
  // A proxy that knows only the older header passes on what the client wrote into the newer one.
  const hops =
    forwardedFor !== ''
      ? forwardedFor.split(',').map(bareAddress)
      : forwardedElements(forwarded).map((element) => bareAddress(parameterOf(element, 'for')));
  let client = address;
  let passed = 0;
  for (const hop of hops.reverse()) {
    if (isIP(hop) === 0) break; // "unknown", an obfuscated name or rubbish: nothing behind it can be believed
    client = hop;
    if (!trusts(hop)) break;
    passed++;
  }
  return { client, passed };
}

/** The value that the outermost trusted proxy added to a list. A proxy that replaces the list leaves a shorter one. */
function outermost(list: string, passed: number): string {
  const values = list.split(',');
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

/** The value of a parameter of an element, without quotes; '' where there is none. */
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
