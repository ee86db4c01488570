/** The shape of the settings table, and what any such table gives: the type of its values, its names. */

export interface ParseContext {
  readonly cwd: string;
  /** Whether stderr is a terminal. */
  readonly isTerminal: boolean;
  /** Whether this process runs in a Kubernetes pod. */
  readonly kubernetes: boolean;
  /** Another variable's text: as given, else its default, else ''. */
  text(variable: string): string;
}

export interface Parser<T> {
  /** Completes both "must be …" and "Takes …". */
  readonly accepts: string;
  /** Throws BadValue to say what exactly is wrong; any other error is just "not accepted". */
  parse(text: string, context: ParseContext): T;
  /** As a user would write it: `parse(format(value))` is the value again. */
  format(value: T): string;
}

/** The message names the part of the text that is not accepted. */
export class BadValue extends Error {
  override name = 'BadValue';
}

export interface Setting {
  readonly name: string;
  /** A name that other software uses; `name` wins where both are given. */
  readonly alias?: string;
  readonly section: string;
  readonly parser: Parser<unknown>;
  /** Text, parsed like a user's. Without one the value is `undefined` when not set. */
  readonly default?: string | ((context: ParseContext) => string);
  /** The default in the docs (Markdown), where it is neither a fixed text nor none. */
  readonly defaultMeans?: string;
  /** A sentence or two for users (Markdown). */
  readonly text: string;
  /** A new value needs a restart: HUP keeps the old one, also where a file gives another. */
  readonly atStart?: boolean;
  /** Never shown, neither in errors nor by `tsunicorn config`. */
  readonly secret?: boolean;
}

export type Table = Readonly<Record<string, Setting>>;

type Row = Omit<Setting, 'section' | 'name'> & { readonly name?: string };

export function section<const R extends Readonly<Record<string, Row>>>(title: string, rows: R) {
  const entries = Object.entries(rows).map(([key, row]) => {
    const name = `TSUNICORN_${key.replace(/[A-Z]/g, '_$&').toUpperCase()}`;
    return [key, { name, ...row, section: title }];
  });
  return Object.fromEntries(entries) as { readonly [K in keyof R]: R[K] & Pick<Setting, 'name' | 'section'> };
}

/** What a table's parsers give; `undefined` too, where a row has no default. */
export type ValuesOf<T extends Table> = {
  readonly [K in keyof T]: T[K] extends { readonly parser: Parser<infer V> }
    ? V | ('default' extends keyof T[K] ? never : undefined)
    : never;
};

/** Name and alias; the first wins. */
export function namesOf(setting: Setting): string[] {
  return setting.alias === undefined ? [setting.name] : [setting.name, setting.alias];
}

/** Every variable that `table` reads, including the `_FILE` forms. */
export function variablesOf(table: Table): string[] {
  return Object.values(table)
    .flatMap(namesOf)
    .flatMap((name) => [name, `${name}_FILE`]);
}

/** The text to parse when the setting is not set. */
export function defaultOf(setting: Setting, context: ParseContext): string | undefined {
  return typeof setting.default === 'function' ? setting.default(context) : setting.default;
}

export const REDACTED = '***';

/** In the user's form; secrets are redacted. */
export function show(setting: Setting, value: unknown): string | undefined {
  if (value === undefined && setting.default === undefined) return undefined;
  return setting.secret === true ? REDACTED : setting.parser.format(value);
}
