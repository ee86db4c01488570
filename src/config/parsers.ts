/** Parsers of single values: env-var's accessors where it has one, with our ranges and units. */
import { isIP } from 'node:net';
import { resolve } from 'node:path';
import env from 'env-var';
import { formatSize, UNITS } from '../platform/bytes.ts';
import { isWrapped } from './hints.ts';
import { BadValue, type ParseContext, type Parser } from './table.ts';

const { accessors } = env;

function parser<T>(
  accepts: string,
  parse: (text: string, context: ParseContext) => T,
  format: (value: T) => string = String,
): Parser<T> {
  return { accepts, parse, format };
}

/** Throws BadValue where `value` is out of range or NaN. */
function inRange(value: number, min: number, max = Number.MAX_SAFE_INTEGER): number {
  if (value >= min && value <= max) return value;
  throw new BadValue();
}

export function integer({ min = 0, max }: { min?: number; max?: number } = {}): Parser<number> {
  const accepts = `a whole number ${max === undefined ? `of at least ${min}` : `from ${min} to ${max}`}`;
  return parser(accepts, (text) => inRange(accessors.asInt(text), min, max));
}

/** TCP port; 0 asks the kernel for any free one. */
export const port = parser('a port from 0 to 65535', (text) => accessors.asPortNumber(text));

/** Stricter than env-var's asFloat, which takes `1e3`, and `0x10` as 0. Three decimals: timers count milliseconds. */
function decimal(text: string): number {
  if (!/^\d{1,9}(\.\d{1,3})?$|^\.\d{1,3}$/.test(text)) throw new BadValue();
  return accessors.asFloatPositive(text);
}

export const factor = parser('a number above 0, such as 1 or 0.5', (text) => inRange(decimal(text), 0.001));

/** setTimeout() takes 2^31 - 1 ms at most; a longer delay fires at once. */
const MAX_SECONDS = Math.floor((2 ** 31 - 1) / 1000);

/** Seconds, with at most three decimals. `zero: false` where 0 has no meaning. */
export function seconds({ zero = true }: { zero?: boolean } = {}): Parser<number> {
  const accepts = `a number of seconds ${zero ? 'from 0' : 'above 0 and up'} to ${MAX_SECONDS}, such as 30 or 0.5`;
  return parser(accepts, (text) => inRange(decimal(text), zero ? 0 : 0.001, MAX_SECONDS));
}

/** Bytes. A minimum catches a bare `512` that means MiB. */
export function size({ min = 0 }: { min?: number } = {}): Parser<number> {
  const least = min > 0 ? ` of at least ${formatSize(min)}` : '';
  const parse = (text: string): number => {
    const [, amount = '', unit = ''] = /^(\d{1,16}(?:\.\d{1,3})?)(?:([kmgt])(?:i?b)?|b)?$/i.exec(text) ?? [];
    const bytes = accessors.asFloatPositive(amount) * 1024 ** UNITS.indexOf(unit.toLowerCase());
    if (!Number.isInteger(bytes)) throw new BadValue('not a whole number of bytes');
    return inRange(bytes, min);
  };
  return parser(`a size${least}, such as 64MiB, 1G, 512k or plain bytes`, parse, formatSize);
}

export const boolean = parser('true, false, 1, 0, yes, no, on or off', (text) =>
  accessors.asBool(text.replace(/^(yes|on)$/i, 'true').replace(/^(no|off)$/i, 'false')),
);

/** Entries of a comma-separated list, without the empty ones that `${A},${B}` in a Compose file may leave. */
export function entriesOf(text: string): string[] {
  const entries = accessors.asArray(text.replace(/\s*,\s*/g, ',').trim());
  if (entries.length === 0) throw new BadValue('the list is empty');
  return entries;
}

/** One of `words`, in any case, or a synonym of one. */
export function oneOf<const W extends string>(
  words: readonly W[],
  synonyms: Readonly<Record<string, NoInfer<W>>> = {},
): Parser<W> {
  const meant = new Map<string, W>(Object.entries(synonyms));
  const all = [...words, ...meant.keys()];
  return parser(`${all.slice(0, -1).join(', ')} or ${all.at(-1)}`, (text) =>
    accessors.asEnum(meant.get(text.toLowerCase()) ?? text.toLowerCase(), words),
  );
}

/** One of `words`, kept as the value, or what `rest` accepts. */
export function wordOr<const W extends string, T>(words: readonly W[], rest: Parser<T>): Parser<W | T> {
  const word = (value: unknown) => words.find((one) => one === value);
  return parser<W | T>(
    `${words.join(', ')} or ${rest.accepts}`,
    (text, context) => word(text.toLowerCase()) ?? rest.parse(text, context),
    (value) => word(value) ?? rest.format(value as T),
  );
}

/** `auto`, decided while loading, or what `rest` accepts. */
export function autoOr<T>(decide: (context: ParseContext) => T, rest: Parser<T>): Parser<T> {
  return {
    accepts: `auto or ${rest.accepts}`,
    parse: (text, context) => (text.toLowerCase() === 'auto' ? decide(context) : rest.parse(text, context)),
    format: rest.format,
  };
}

/** Permission bits as chmod(1) takes them; set-id and sticky bits have no meaning on a socket. */
export const mode = parser(
  'an octal mode from 0000 to 0777',
  (text) => {
    if (!/^(0o?)?[0-7]{3}$/.test(text)) throw new BadValue();
    return Number.parseInt(text.replace('o', ''), 8);
  },
  (value) => value.toString(8).padStart(4, '0'),
);

/** Throws BadValue for control characters, which no env file can express. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what this looks for
  if (/[\u0000-\u001f\u007f]/.test(text)) throw new BadValue('it contains a control character');
  return text;
}

/** Throws BadValue also for what no path or name has around it. */
function bare(text: string): string {
  if (isWrapped(printable(text))) throw new BadValue('it has quotes or spaces around it');
  return text;
}

/** Any text without control characters, and with nothing around it. */
export const string = (accepts: string): Parser<string> => parser(accepts, bare);

/** Not one of ours: a nested tsunicorn would refuse it. */
export const variable = parser('the name of an environment variable, such as NODE_APP_INSTANCE', (text) => {
  if (!/^[a-z_]\w*$/i.test(text)) throw new BadValue();
  if (text.startsWith('TSUNICORN_')) throw new BadValue('names that begin with TSUNICORN_ are its own');
  return text;
});

export function account(kind: 'user' | 'group'): Parser<string> {
  return parser(`the name or the number of a ${kind}`, (text) => {
    if (!/^(\d+|[A-Za-z_][\w.-]*\$?)$/.test(text)) throw new BadValue();
    return text;
  });
}

/** Absolute, from the app's directory. */
export function fromChdir(path: string, { cwd, text }: ParseContext): string {
  return resolve(cwd, text('TSUNICORN_CHDIR'), bare(path));
}

/** Absolute, from the working directory. */
export const directory = parser('the path of a directory', (text, { cwd }) => resolve(cwd, bare(text)));

export const path = parser('a path', fromChdir);

/** `path`, but not "off", which would silently name a file. */
export const pathNotOff = parser(path.accepts, (text, context) => {
  if (text.toLowerCase() === 'off') throw new BadValue('it cannot be turned off');
  return path.parse(text, context);
});

const RANGE_NAMES = ['*', 'loopback', 'linklocal', 'uniquelocal'];

/** An address without a zone, or a CIDR (RFC 4632, RFC 4291). */
function isAddressOrRange(entry: string): boolean {
  const [, address = '', prefix] = /^([^/%]+)(?:\/(0|[1-9]\d{0,2}))?$/.exec(entry) ?? [];
  const family = isIP(address);
  return family !== 0 && Number(prefix ?? 0) <= (family === 4 ? 32 : 128);
}

export const trustedPeers = parser(
  'a comma-separated list of IP addresses, CIDRs, loopback, linklocal and uniquelocal, or *',
  (text) =>
    entriesOf(text.toLowerCase()).map((entry) => {
      if (!RANGE_NAMES.includes(entry) && !isAddressOrRange(entry)) throw new BadValue(`${entry} is not one of these`);
      return entry;
    }),
  (value) => value.join(','),
);
