/** Whose forwarding headers are believed: `TSUNICORN_FORWARDED_ALLOW_IPS`. */
import { isIP } from 'node:net';
import { entriesOf } from './parsers.ts';
import { BadValue, type Parser } from './table.ts';

const RANGE_NAMES = ['*', 'loopback', 'linklocal', 'uniquelocal'];

/** Addresses without a zone, which a peer's address is compared to as it is; CIDRs of RFC 4632 and RFC 4291. */
function isAddressOrRange(entry: string): boolean {
  const [, address = '', prefix] = /^([^/%]+)(?:\/(0|[1-9]\d{0,2}))?$/.exec(entry) ?? [];
  const family = isIP(address);
  return family !== 0 && Number(prefix ?? 0) <= (family === 4 ? 32 : 128);
}

export const trustedPeers: Parser<string[]> = {
  accepts: 'a comma-separated list of IP addresses, CIDRs, loopback, linklocal and uniquelocal, or *',
  parse: (text) =>
    entriesOf(text.toLowerCase()).map((entry) => {
      if (!RANGE_NAMES.includes(entry) && !isAddressOrRange(entry)) throw new BadValue(`${entry} is none of these`);
      return entry;
    }),
  format: (value) => value.join(','),
};
