/** environment → settings: everything is read and checked at once, and every problem is reported. */
import { isAbsolute, resolve } from 'node:path';
import { isatty } from 'node:tty';
import { ConfigError, type ConfigProblem, HaltServer } from '../errors.ts';
import { readFileSync, statSync } from '../platform/node-fs.ts';
import { hint } from './hints.ts';
import { conflicts, SETTINGS } from './settings.ts';
import {
  BadValue,
  defaultOf,
  namesOf,
  type ParseContext,
  REDACTED,
  type Setting,
  type Table,
  type ValuesOf,
  variablesOf,
} from './table.ts';
import { IDENTITY_VARIABLES } from './worker-identity.ts';

export interface Environment {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Absolute. */
  readonly cwd: string;
  /** Whether stderr is a terminal. */
  readonly isTerminal: boolean;
  /** For the `_FILE` variables; `readFileSync` by default. */
  readonly readFile?: (path: string) => string;
}

export function environmentOf(process: NodeJS.Process): Environment {
  return { env: process.env, cwd: workingDirectory(process), isTerminal: isatty(2) };
}

/** `$PWD` while it names this directory, so a symlinked path leads to the new release at reload. */
function workingDirectory({ env: { PWD }, cwd }: NodeJS.Process): string {
  let real: string;
  try {
    real = cwd();
  } catch {
    throw new HaltServer('the working directory has been removed or cannot be entered: start in another one', 'config');
  }
  if (PWD === undefined || !isAbsolute(PWD)) return real;
  const [named, here] = [PWD, real].map((path) => statSync(path, { throwIfNoEntry: false }));
  return named && here && named.ino === here.ino && named.dev === here.dev ? PWD : real;
}

interface ValueOrigin {
  /** `auto`: the text was "auto", given or by default, and loading resolved it. */
  readonly kind: 'default' | 'env' | 'file' | 'auto';
  /** The variable that was used: name or alias, with `_FILE` where it was that. Absent where none was given. */
  readonly variable?: string;
}

export interface LoadedTable<T extends Table> {
  readonly settings: ValuesOf<T>;
  readonly origins: Readonly<Record<keyof T, ValueOrigin>>;
}

export type LoadedSettings = LoadedTable<typeof SETTINGS>;

/** Throws ConfigError with every problem. */
export function loadSettings(environment: Environment): LoadedSettings {
  return loadTable(SETTINGS, environment, conflicts);
}

/** The settings that the user gave; the others have their defaults. */
export function givenOf<T extends Table>({ origins }: LoadedTable<T>): (keyof T)[] {
  return (Object.keys(origins) as (keyof T)[]).filter((key) => origins[key].variable !== undefined);
}

interface Given {
  /** Undefined where it cannot be read, which has been reported. */
  readonly text: string | undefined;
  readonly kind: 'env' | 'file';
  readonly variable: string;
  /** What an error may show: a path instead of a file's content. */
  readonly value: string;
}

/** {@link loadSettings} for any table. `check` finds conflicts between values. */
export function loadTable<T extends Table>(
  table: T,
  environment: Environment,
  check: (values: Partial<ValuesOf<T>>) => ConfigProblem[] = () => [],
): LoadedTable<T> {
  const { env, cwd, isTerminal } = environment;
  const problems: ConfigProblem[] = [];
  const given = new Map<string, Given>();
  for (const setting of Object.values(table)) {
    const all = namesOf(setting).map((name) => look(name, setting, environment, problems));
    const first = all.find((found) => found !== undefined);
    if (first) given.set(setting.name, first);
  }
  const context: ParseContext = {
    cwd,
    isTerminal,
    kubernetes: Boolean(env.KUBERNETES_SERVICE_HOST),
    text(variable) {
      const setting = Object.values(table).find(({ name }) => name === variable);
      return given.get(variable)?.text ?? (setting && defaultOf(setting, context)) ?? '';
    },
  };
  const values: Record<string, unknown> = {};
  const origins: Record<string, ValueOrigin> = {};
  for (const [key, setting] of Object.entries(table)) {
    const found = given.get(setting.name);
    if (found && found.text === undefined) continue;
    const text = found?.text ?? defaultOf(setting, context);
    try {
      values[key] = text === undefined ? undefined : setting.parser.parse(text, context);
    } catch (error) {
      if (found !== undefined) problems.push(describe(setting, found, error, context));
      // A default made from other settings fails with them, and they have been reported.
      else if (problems.length === 0) throw error;
      continue;
    }
    const resolved = text?.toLowerCase() === 'auto' && values[key] !== 'auto';
    const kind = resolved ? 'auto' : (found?.kind ?? 'default');
    origins[key] = found === undefined ? { kind } : { kind, variable: found.variable };
  }
  problems.push(...unknownNames(table, env), ...check(values as Partial<ValuesOf<T>>));
  if (problems.length > 0) throw new ConfigError(problems);
  return { settings: values as ValuesOf<T>, origins: origins as Record<keyof T, ValueOrigin> };
}

/** What is given as `name`, or in the file that `name`_FILE names. Empty is not set: Compose files pass on unset variables so. */
function look(
  name: string,
  { secret }: Setting,
  { env, cwd, readFile = (path) => readFileSync(path, 'utf8') }: Environment,
  problems: ConfigProblem[],
): Given | undefined {
  const variable = `${name}_FILE`;
  const { [name]: text = '', [variable]: path = '' } = env;
  if (path === '') {
    return text === '' ? undefined : { text, kind: 'env', variable: name, value: secret ? REDACTED : oneLine(text) };
  }
  const file = { text: undefined, kind: 'file', variable, value: oneLine(path) } as const;
  const report = (message: string) => problems.push({ name: variable, value: file.value, message });
  if (text !== '') problems.push({ name, message: `is set, and so is ${variable}; set only one of them` });
  else {
    try {
      const content = readFile(resolve(cwd, path)).replace(/\r?\n$/, '');
      if (content !== '') return { ...file, text: content };
      report('the file is empty');
    } catch (error) {
      const without = hint(path, (rest) => succeeds(() => readFile(resolve(cwd, rest))), false);
      report(`the file cannot be read: ${oneLine((error as Error).message)}${without}`);
    }
  }
  return file;
}

/** BadValue's detail quotes the value, so it is left out for secrets, which any file may hold. */
function describe(
  setting: Setting,
  { text = '', kind, variable, value }: Given,
  error: unknown,
  context: ParseContext,
): ConfigProblem {
  const detail = error instanceof BadValue && kind === 'env' && !setting.secret ? error.message : '';
  const subject = kind === 'file' ? 'its content must be' : 'must be';
  const message = `${subject} ${setting.parser.accepts}${detail === '' ? '' : ` (${oneLine(detail)})`}`;
  const accepts = (rest: string) => succeeds(() => setting.parser.parse(rest, context));
  return { name: variable, value, message: message + hint(text, accepts, kind === 'file') };
}

function succeeds(attempt: () => unknown): boolean {
  try {
    attempt();
    return true;
  } catch {
    return false;
  }
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what this looks for
const INVISIBLE = /[\u0000-\u001f\u007f-\u00a0\u200b-\u200f\u2028\u2029\u2060\ufeff]/g;

/** Escapes what does not show or would end the line, so that each problem keeps to its own. */
function oneLine(text: string): string {
  return text.replace(INVISIBLE, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Also behind what an env file may leave before a name. */
const NAMED_LIKE_OURS = /^(\uFEFF|\s|["'“‘]|export\s)*TSUNICORN_/;

/** Levenshtein distance: letters to insert, delete or replace to turn `a` into `b`. */
export function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** The name in `table` that `unknown` most likely means, if any is close. */
export function suggest(unknown: string, table: Table): string | undefined {
  const file = unknown.endsWith('_FILE') ? '_FILE' : '';
  const bare = (name: string) => name.replace(NAMED_LIKE_OURS, '').replaceAll('_', '').trimEnd();
  const wanted = bare(unknown.slice(0, unknown.length - file.length));
  const [closest] = Object.values(table)
    .flatMap(namesOf)
    .map((name) => ({ name: name + file, away: distance(wanted, bare(name)) }))
    .filter(({ away }) => away <= Math.floor(wanted.length / 3)) // with more wrong letters it is another word
    .sort((a, b) => a.away - b.away);
  return closest?.name;
}

/** Kubernetes' service links: a service called "tsunicorn" sets `TSUNICORN_PORT=tcp://…` and more in every pod. */
const SERVICE_LINK = '(SERVICE_(HOST|PORT(_\\w+)?)|PORT(_\\d+_[A-Z]+(_(PROTO|PORT|ADDR))?)?)';

/** Each `TSUNICORN_*` name that is not a setting. Without its value, which may be a misspelt secret's. */
function unknownNames(table: Table, variables: Environment['env']): ConfigProblem[] {
  const names = Object.keys(variables).filter((name) => NAMED_LIKE_OURS.test(name) && variables[name] !== undefined);
  const services = names.flatMap((name) => /^(\w+)_SERVICE_HOST$/.exec(name)?.[1] ?? []);
  const serviceLink = new RegExp(`^(${services.join('|')})_${SERVICE_LINK}$`);
  const known = new Set([...variablesOf(table), ...Object.values(IDENTITY_VARIABLES)]);
  return names
    .filter((name) => !known.has(name) && !serviceLink.test(name))
    .map((name) => {
      const suggestion = suggest(name, table);
      return {
        name: oneLine(name),
        message: `is not a setting${suggestion === undefined ? '' : `; did you mean ${suggestion}?`}`,
      };
    });
}
