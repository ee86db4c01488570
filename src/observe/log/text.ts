/**
 * The access log by a format. Atoms mean what they mean in Gunicorn, except that `h` is the client behind trusted proxies
 * and `U` the path as sent, not decoded.
 */
import type { Atom, LogPiece, NamedAtom } from '../../config/access-log-format.ts';
import type { LineFormat, LogEntry } from './access-log.ts';
import { ascii, type LineWriter, LogClock } from './line-writer.ts';
import { headerOf } from './request-headers.ts';

type Piece = (line: LineWriter, entry: LogEntry) => void;
/** Needs no more than a malformed request has. */
type BasicPiece = (line: LineWriter, entry: Pick<LogEntry, 'client' | 'status' | 'bytes'>) => void;
type BasicAtom = 'h' | 'l' | 't' | 's' | 'B' | 'p';

const NOTHING = ascii('-');
const SPACE = ascii(' ');
const ESCAPED_SPACE = ascii('\\x20');
const HTTP = ascii('HTTP/');
const SPACE_HTTP = ascii(' HTTP/');
const DECIMAL_POINT = ascii('.');

export function textLines(pieces: readonly LogPiece[], { pid, env }: Pick<NodeJS.Process, 'pid' | 'env'>): LineFormat {
  const clock = commonLogClock();
  const basic: Readonly<Record<BasicAtom, BasicPiece>> = {
    h: (line, { client }) => text(line, client),
    l: constant(NOTHING),
    t: (line) => line.constant(clock.now()),
    s: (line, { status }) => line.integer(status),
    B: (line, { bytes }) => line.integer(bytes),
    p: constant(ascii(`<${pid}>`)),
  };
  const atoms: Readonly<Record<Atom, Piece>> = { ...ATOMS, ...basic };
  const known: Partial<Record<Atom | NamedAtom, BasicPiece>> = basic;
  const literal = (value: string) => constant(new Uint8Array(Buffer.from(value)));
  const whole = pieces.map((piece) => {
    if ('literal' in piece) return literal(piece.literal);
    return 'name' in piece ? named(piece.atom, piece.name, env) : atoms[piece.atom];
  });
  const malformed = pieces.map((piece) => {
    return 'literal' in piece ? literal(piece.literal) : (known[piece.atom] ?? constant(NOTHING));
  });
  return {
    toAscii: textEscape,
    request(line, entry) {
      for (const piece of whole) piece(line, entry);
    },
    malformed(line, remote, status) {
      for (const piece of malformed) piece(line, { client: remote, status, bytes: 0 });
    },
  };
}

const ATOMS: Readonly<Record<Exclude<Atom, BasicAtom>, Piece>> = {
  u: (line, { exchange }) => user(line, exchange.request.rawHeaders),
  r(line, { exchange: { method, url, request } }) {
    line.text(method).constant(SPACE);
    line.text(url).constant(SPACE_HTTP);
    line.text(request.httpVersion);
  },
  m: (line, { exchange }) => line.text(exchange.method),
  U(line, { exchange: { url } }) {
    const question = url.indexOf('?');
    line.text(question < 0 ? url : url.slice(0, question));
  },
  q(line, { exchange: { url } }) {
    const question = url.indexOf('?');
    if (question >= 0) line.text(url.slice(question + 1));
  },
  H: (line, { exchange }) => line.constant(HTTP).text(exchange.request.httpVersion),
  b: (line, { bytes }) => (bytes === 0 ? line.constant(NOTHING) : line.integer(bytes)),
  f: (line, { seen }) => text(line, seen.referer),
  a: (line, { seen }) => text(line, seen.userAgent),
  T: (line, { microseconds }) => line.integer(Math.floor(microseconds / 1e6)),
  D: (line, { microseconds }) => line.integer(microseconds),
  M: (line, { microseconds }) => line.integer(Math.floor(microseconds / 1000)),
  L(line, { microseconds }) {
    line.integer(Math.floor(microseconds / 1e6)).constant(DECIMAL_POINT);
    line.threeDigits(Math.floor(microseconds / 1000) % 1000).threeDigits(microseconds % 1000);
  },
};

function named(atom: NamedAtom, name: string, env: NodeJS.ProcessEnv): Piece {
  const lower = name.toLowerCase();
  switch (atom) {
    case 'i':
      return (line, { exchange }) => text(line, headerOf(exchange.request.rawHeaders, lower));
    case 'o': {
      // The header as sent, with what Node.js added and what only writeHead() got.
      const field = new RegExp(`\\r\\n${name.replace(/[.*+?^$|]/g, '\\$&')}:[ \\t]*([^\\r]*)`, 'gi');
      return (line, { exchange: { response } }) => {
        const head = (response as unknown as { _header?: string | null })._header ?? '';
        text(line, Array.from(head.matchAll(field), ([, value]) => value).join(', '));
      };
    }
    case 'e':
      return constant(ascii((env[name] ?? '').replace(/[^ !#-[\]-~]/g, (c) => textEscape(c.charCodeAt(0))) || '-'));
    default:
      return atom satisfies never;
  }
}

function constant(bytes: Uint8Array): BasicPiece {
  return (line) => line.constant(bytes);
}

function text(line: LineWriter, value: string): void {
  if (value === '') line.constant(NOTHING);
  else line.text(value);
}

/**
 * The user name in Basic credentials (RFC 7617), verified or not. No common format quotes it, so a space would shift the
 * fields after it.
 */
function user(line: LineWriter, rawHeaders: readonly string[]): void {
  const header = headerOf(rawHeaders, 'authorization');
  if (header === '') return text(line, '');
  const [, credentials = ''] = /^basic +([A-Za-z\d+/]+={0,2})$/i.exec(header) ?? [];
  const [name = ''] = Buffer.from(credentials, 'base64').toString('latin1').split(':', 1);
  if (name === '') return text(line, '');
  for (const [i, part] of name.split(' ').entries()) {
    if (i > 0) line.constant(ESCAPED_SPACE);
    line.text(part);
  }
}

/** `Tue Nov 24 2026 14:20:00 GMT+0000 (…)`, as ECMA-262 fixes it (Date.prototype.toString). */
const DATE_TEXT = /^\w+ (\w+) (\d+) (\d+) (\S+) GMT(\S+).*$/;

/** Common Log Format: `[24/Nov/2026:14:20:00 +0000]`, in the time zone of the process. */
export function commonLogClock(): LogClock {
  return new LogClock(1000, (time) => String(time).replace(DATE_TEXT, '[$2/$1/$3:$4 $5]'));
}

/** Quotes and backslashes as in Gunicorn and Apache, other bytes as in nginx and Apache: `\xHH`. */
export function textEscape(unit: number): string {
  if (unit === 0x22) return '\\"';
  if (unit === 0x5c) return '\\\\';
  if (unit < 0x100) return `\\x${unit.toString(16).toUpperCase().padStart(2, '0')}`;
  return `\\u${unit.toString(16).padStart(4, '0')}`;
}
