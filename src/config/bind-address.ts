/** Addresses to listen on: `TSUNICORN_BIND` and `TSUNICORN_ADMIN_BIND`. */
import { isIPv4, isIPv6 } from 'node:net';
import env from 'env-var';
import { ABSTRACT, type BindAddress, bracketed, formatBindAddress } from '../platform/address.ts';
import { entriesOf, fromChdir } from './parsers.ts';
import { BadValue, type ParseContext, type Parser } from './table.ts';

const { accessors } = env;

/** `sun_path` of unix(7) holds 108 bytes, the last of which is the terminating null byte. */
const MAX_UNIX_PATH_BYTES = 107;

/** Stands for `{slot}` when a path is measured: no machine has use for more digits. */
const LONGEST_SLOT = '9999';

/** RFC 1123 names, with the underscore that Compose service names may have. */
const HOST_NAME = /^[a-z0-9]([a-z0-9_.-]{0,251}[a-z0-9.])?$/i;

/** Without brackets, in lower case. Throws BadValue. */
function parseHost(text: string): string {
  const inner = /^\[(.*)\]$/.exec(text)?.[1];
  if (inner !== undefined && isIPv6(inner)) return inner.toLowerCase();
  // What ends in a number is an IPv4 address or nothing: a resolver would take 300.1 or 8000 for one of the old forms.
  if (inner === undefined && (isIPv4(text) || (HOST_NAME.test(text) && !/(^|\.)\d+\.?$/.test(text)))) {
    return text.toLowerCase();
  }
  throw new BadValue();
}

export const host: Parser<string> = {
  accepts: 'a host name or an IP address',
  parse: (text) => parseHost(isIPv6(text) ? bracketed(text) : text),
  format: String,
};

export function fromHostAndPort({ text }: ParseContext): string {
  const name = text('HOST');
  return `${isIPv6(name) ? bracketed(name) : name}:${text('PORT')}`;
}

function parseUnix(text: string, context: ParseContext): BindAddress {
  if (text === '') throw new BadValue('unix: needs a path');
  const path = text.startsWith('@') ? abstractPath(text.slice(1)) : fromChdir(text, context);
  const shown = path.replace(ABSTRACT, '@');
  const longest = path.replaceAll('{slot}', LONGEST_SLOT);
  if (/[{}]/.test(longest)) throw new BadValue(`${shown} has a placeholder other than {slot}`);
  const bytes = Buffer.byteLength(longest);
  if (bytes > MAX_UNIX_PATH_BYTES) {
    throw new BadValue(`${shown} has ${bytes} bytes, and a unix socket's path at most ${MAX_UNIX_PATH_BYTES}`);
  }
  return { kind: 'unix', path };
}

/** Of Linux alone (unix(7)). */
function abstractPath(name: string): string {
  if (process.platform !== 'linux') throw new BadValue(`unix:@${name}: abstract sockets need Linux`);
  if (name === '') throw new BadValue('unix:@ needs a name');
  return ABSTRACT + name;
}

/** 0 is what inetd hands over, 3 and up what systemd does. */
function parseDescriptor(text: string): BindAddress {
  const fd = accessors.asIntPositive(text);
  if (fd === 1 || fd === 2) throw new BadValue('descriptors 1 and 2 are stdout and stderr');
  return { kind: 'fd', fd };
}

function parseTcp(text: string): BindAddress {
  const [, name = '', number = ''] = /^(.*):(\d+)$/.exec(text) ?? [];
  return { kind: 'tcp', host: name === '' ? '0.0.0.0' : parseHost(name), port: accessors.asPortNumber(number) };
}

function parseBindAddress(text: string, context: ParseContext): BindAddress {
  try {
    if (text.startsWith('unix:')) return parseUnix(text.slice('unix:'.length), context);
    if (text.startsWith('fd://')) return parseDescriptor(text.slice('fd://'.length));
    return parseTcp(text);
  } catch (error) {
    if (error instanceof BadValue && error.message !== '') throw error;
    throw new BadValue(`${text} is not one of these`);
  }
}

/** Whether binding both must fail or would split the connections between them. Every `:0` is a port of its own. */
export function overlap(a: BindAddress, b: BindAddress): boolean {
  if (a.kind !== 'tcp' || b.kind !== 'tcp') return formatBindAddress(a) === formatBindAddress(b);
  if (a.port !== b.port || a.port === 0) return false;
  const includes = (wide: string, narrow: string) => wide === '::' || (wide === '0.0.0.0' && !isIPv6(narrow));
  return a.host === b.host || includes(a.host, b.host) || includes(b.host, a.host);
}

export const addresses: Parser<BindAddress[]> = {
  accepts: 'a comma-separated list of host:port, [v6]:port, :port, unix:/path, unix:@name and fd://N',
  parse(text, context) {
    const seen = new Set<string>();
    return entriesOf(text).map((entry) => {
      const address = parseBindAddress(entry, context);
      const key = formatBindAddress(address);
      const anyPort = address.kind === 'tcp' && address.port === 0;
      if (seen.has(key) && !anyPort) throw new BadValue(`${entry} is listed twice`);
      seen.add(key);
      return address;
    });
  },
  format: (value) => value.map(formatBindAddress).join(','),
};

export const adminAddress: Parser<BindAddress | undefined> = {
  accepts: 'off, host:port, [v6]:port, :port, unix:/path or unix:@name',
  parse(text, context) {
    if (text.toLowerCase() === 'off') return undefined;
    const address = parseBindAddress(text, context);
    if (address.kind === 'fd') throw new BadValue('a descriptor cannot be used here');
    if (address.kind === 'unix' && address.path.includes('{slot}')) throw new BadValue('{slot} cannot be used here');
    return address;
  },
  format: (value) => (value === undefined ? 'off' : formatBindAddress(value)),
};
