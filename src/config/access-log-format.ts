/** `TSUNICORN_ACCESS_LOG_FORMAT`, parsed once; workers get the pieces. */
import { BadValue, type Parser } from './table.ts';

/** Gunicorn's one-letter atoms; its docs have them under `access_log_format`. */
// biome-ignore format: one line
export const ATOMS = ['h', 'l', 'u', 't', 'r', 's', 'm', 'U', 'q', 'H', 'B', 'b', 'f', 'a', 'T', 'D', 'M', 'L', 'p'] as const;
export type Atom = (typeof ATOMS)[number];

/** `i` is a header of the request, `o` one of the response, `e` a variable of the environment. */
export type NamedAtom = 'i' | 'o' | 'e';

export type LogPiece =
  | { readonly literal: string }
  | { readonly atom: Atom }
  | { readonly atom: NamedAtom; readonly name: string };

/** Plain JSON, so it can cross the channel to a worker. `text` as given. */
export type AccessLogFormat =
  | { readonly text: string; readonly kind: 'json' }
  | { readonly text: string; readonly kind: 'text'; readonly pieces: readonly LogPiece[] };

/** The Common Log Format, and "combined" as in Apache and nginx, Gunicorn's default. */
const COMMON = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s';
const NAMED: Readonly<Record<string, string>> = { common: COMMON, combined: `${COMMON} "%(f)s" "%(a)s"` };

/** Up to the next piece, an escaped percent sign, or an atom. */
const PIECE = /([^%]+)|%%|%\(([^)]*)\)s/y;
/** Header names are tokens (RFC 9110, section 5.6.2); names of variables have no `=`. */
const NAMED_ATOM = /^\{([^{}=\s]+)\}([ioe])$/;

export const accessLogFormat: Parser<AccessLogFormat> = {
  accepts: 'json, common, combined, or a format with atoms such as %(h)s',
  parse(text) {
    const word = text.toLowerCase();
    if (word === 'json') return { text: word, kind: 'json' };
    const isNamed = Object.hasOwn(NAMED, word);
    return { text: isNamed ? word : text, kind: 'text', pieces: piecesOf(NAMED[word] ?? text) };
  },
  format: ({ text }) => text,
};

function piecesOf(format: string): LogPiece[] {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a tab is fine, a line end would tear lines
  if (/[\u0000-\u0008\u000a-\u001f\u007f]/.test(format)) throw new BadValue('it contains a control character');
  const pieces: LogPiece[] = [];
  PIECE.lastIndex = 0;
  while (PIECE.lastIndex < format.length) {
    const at = PIECE.lastIndex;
    const match = PIECE.exec(format);
    if (!match) {
      throw new BadValue(`${format.slice(at, at + 12)}: % begins an atom such as %(s)s; write %% for a percent sign`);
    }
    const [, literal = '%', atom] = match;
    pieces.push(atom === undefined ? { literal } : atomOf(atom));
  }
  if (!pieces.some((piece) => 'atom' in piece)) throw new BadValue('it has no atom');
  return pieces;
}

function atomOf(text: string): LogPiece {
  const atom = ATOMS.find((one) => one === text);
  if (atom !== undefined) return { atom };
  const [, name, kind] = NAMED_ATOM.exec(text) ?? [];
  if (name !== undefined && kind !== undefined) return { atom: kind as NamedAtom, name };
  throw new BadValue(`%(${text})s is not an atom; atoms are ${ATOMS.join(' ')}, {header}i, {header}o and {variable}e`);
}
