/** The shape of the settings table, and what follows from any such table: the type of its values, its names. */

/** What a parser may need to know besides the text itself. */
export interface Context {
  /** Working directory of the process. */
  readonly cwd: string;
  /** Whether stderr is a terminal. */
  readonly isTerminal: boolean;
  /** Whether this process runs in a Kubernetes pod. */
  readonly kubernetes: boolean;
  /** The text in force for another variable: what was given, else its default, else the empty string. */
  text(variable: string): string;
}

/** Turns a user's text into a value and back. */
export interface Parser<T> {
  /** What is accepted; completes both "must be …" and "Takes …". */
  readonly accepts: string;
  /** @throws {BadValue} saying what exactly is wrong; any other error means just "not accepted" */
  parse(text: string, context: Context): T;
  /** The value as a user would write it: `parse(format(value))` is the value again. */
  format(value: T): string;
}

/** Thrown by a parser to name the part of the text that it cannot accept. */
export class BadValue extends Error {
  override name = 'BadValue';
}

export const SECTIONS = [
  'Application',
  'Listeners',
  'Workers',
  'Timeouts',
  'Limits',
  'Logging',
  'Proxy',
  'Admin',
  'Process',
] as const;

/** One row of the table. */
export interface Setting<T = unknown> {
  readonly name: string;
  /** A second name, for a variable that other software already uses. `name` wins where both are given. */
  readonly alias?: string;
  readonly section: (typeof SECTIONS)[number];
  readonly parser: Parser<T>;
  /** As a user would write it, and parsed like anything else. Without one, the value is `undefined` when not set. */
  readonly default?: string | ((context: Context) => string);
  /** How documents name the default (Markdown), where it is not one fixed text. */
  readonly defaultMeans?: string;
  /** One or two sentences of user documentation (Markdown). */
  readonly text: string;
  /** The value is never shown, neither in errors nor in `tsunicorn config`. */
  readonly secret?: boolean;
}

export type Table = Readonly<Record<string, Setting>>;

type ValueOf<S> = S extends { readonly parser: Parser<infer T> }
  ? 'default' extends keyof S
    ? T
    : T | undefined
  : never;

export type ValuesOf<T extends Table> = { readonly [K in keyof T]: ValueOf<T[K]> };

/** The setting's name and alias, the one that wins first. */
export function namesOf(setting: Setting): string[] {
  return setting.alias === undefined ? [setting.name] : [setting.name, setting.alias];
}

/** Every variable that is read for `table`, with the `_FILE` forms. */
export function variablesOf(table: Table): string[] {
  return Object.values(table)
    .flatMap(namesOf)
    .flatMap((name) => [name, `${name}_FILE`]);
}

/** The text to parse when nothing is given, or `undefined` where the setting has no default. */
export function defaultOf(setting: Setting, context: Context): string | undefined {
  return typeof setting.default === 'function' ? setting.default(context) : setting.default;
}

export const REDACTED = '***';

/** A value as it may be shown: in the user's form, redacted where the setting is a secret. */
export function show(setting: Setting, value: unknown): string | undefined {
  if (value === undefined && setting.default === undefined) return undefined;
  return setting.secret === true ? REDACTED : setting.parser.format(value);
}
