/** environment → settings: everything is read and checked at once, and every problem is reported. */
import { resolve } from 'node:path';
import { ConfigError, type ConfigProblem } from '../errors.ts';
import { readFileSync } from '../platform/node-fs.ts';
import { conflicts } from './conflicts.ts';
import { SETTINGS, type Settings } from './settings.ts';
import {
  BadValue,
  type Context,
  defaultOf,
  namesOf,
  REDACTED,
  type Setting,
  type Table,
  type ValuesOf,
} from './table.ts';
import { unknownNames } from './unknown.ts';

export interface Environment {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Working directory, absolute. */
  readonly cwd: string;
  /** Whether stderr is a terminal. */
  readonly isTerminal: boolean;
  /** For the `_FILE` variables; throws as `readFileSync` does, which it is by default. */
  readonly readFile?: (path: string) => string;
}

/** Where a value came from: `auto` when the text was "auto", given or by default, and loading resolved it. */
export interface Origin {
  readonly kind: 'default' | 'env' | 'file' | 'auto';
  /** The variable that was used: the name, the alias, or one of them with `_FILE`. Absent where none was given. */
  readonly variable?: string;
}

export interface Loaded<T extends Table> {
  readonly settings: ValuesOf<T>;
  readonly origins: Readonly<Record<keyof T, Origin>>;
}

export interface LoadedSettings {
  readonly settings: Settings;
  readonly origins: Readonly<Record<keyof Settings, Origin>>;
}

/** @throws {ConfigError} with everything that is wrong */
export function loadSettings(environment: Environment): LoadedSettings {
  return loadTable(SETTINGS, environment, conflicts);
}

/** What was given for one setting. `value` is how an error may show it, which is not the content of a file. */
interface Given {
  readonly text: string;
  readonly kind: 'env' | 'file';
  readonly variable: string;
  readonly value: string;
}

/** {@link loadSettings} for any table. @param check finds what is wrong between values */
export function loadTable<T extends Table>(
  table: T,
  environment: Environment,
  check: (values: Partial<ValuesOf<T>>) => ConfigProblem[] = () => [],
): Loaded<T> {
  const problems: ConfigProblem[] = [];
  const given = new Map<string, Given | 'unreadable' | undefined>();
  for (const setting of Object.values(table)) given.set(setting.name, find(setting, environment, problems));

  const context: Context = {
    cwd: environment.cwd,
    isTerminal: environment.isTerminal,
    kubernetes: isSet(environment.env.KUBERNETES_SERVICE_HOST),
    text(variable) {
      const found = given.get(variable);
      if (typeof found === 'object') return found.text;
      const setting = Object.values(table).find(({ name }) => name === variable);
      return (setting && defaultOf(setting, context)) ?? '';
    },
  };
  const values: Record<string, unknown> = {};
  const origins: Record<string, Origin> = {};
  for (const [key, setting] of Object.entries(table)) {
    const found = given.get(setting.name);
    if (found === 'unreadable') continue;
    const text = found?.text ?? defaultOf(setting, context);
    try {
      values[key] = text === undefined ? undefined : setting.parser.parse(text, context);
    } catch (error) {
      if (found !== undefined) problems.push(describe(setting, found, error));
      // A default that is made of other settings fails with them, and they have been reported.
      else if (problems.length === 0) throw error;
      continue;
    }
    const resolved = text?.toLowerCase() === 'auto' && values[key] !== 'auto';
    const kind = resolved ? 'auto' : (found?.kind ?? 'default');
    origins[key] = found === undefined ? { kind } : { kind, variable: found.variable };
  }
  problems.push(...unknownNames(table, environment.env), ...check(values as Partial<ValuesOf<T>>));
  if (problems.length > 0) throw new ConfigError(problems);
  return { settings: values as ValuesOf<T>, origins: origins as Record<keyof T, Origin> };
}

/** Compose files pass variables on with an empty value, so that an empty value is no value. */
function isSet(text: string | undefined): text is string {
  return text !== undefined && text !== '';
}

/** What is given under the setting's name, else under its alias. */
function find(setting: Setting, environment: Environment, problems: ConfigProblem[]): Given | 'unreadable' | undefined {
  const all = namesOf(setting).map((name) => look(setting, name, environment, problems));
  return all.find((given) => given !== undefined);
}

function look(
  setting: Setting,
  name: string,
  { env, cwd, readFile = (path) => readFileSync(path, 'utf8') }: Environment,
  problems: ConfigProblem[],
): Given | 'unreadable' | undefined {
  const variable = `${name}_FILE`;
  const text = env[name];
  const path = env[variable];
  if (isSet(text) && isSet(path)) {
    problems.push({ name, message: `is set, and ${variable} too; set only one of them` });
    return 'unreadable';
  }
  if (isSet(text)) return { text, kind: 'env', variable: name, value: setting.secret ? REDACTED : oneLine(text) };
  if (!isSet(path)) return undefined;
  try {
    const content = readFile(resolve(cwd, path)).replace(/\r?\n$/, '');
    if (content !== '') return { text: content, kind: 'file', variable, value: oneLine(path) };
    problems.push({ name: variable, value: oneLine(path), message: 'the file is empty' });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    problems.push({ name: variable, value: oneLine(path), message: `the file cannot be read: ${oneLine(reason)}` });
  }
  return 'unreadable';
}

/** What is accepted, and what exactly is wrong; the latter quotes the value, which may be a secret in a file too. */
function describe(setting: Setting, { kind, variable, value }: Given, error: unknown): ConfigProblem {
  const detail = error instanceof BadValue && kind === 'env' && !setting.secret ? error.message : '';
  const subject = kind === 'file' ? 'its content must be' : 'must be';
  const message = `${subject} ${setting.parser.accepts}${detail === '' ? '' : ` (${oneLine(detail)})`}`;
  return { name: variable, value, message };
}

/** Control characters escaped as in JSON, so that each problem keeps to its line. */
function oneLine(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what this looks for
  return text.replace(/[\u0000-\u001f\u007f]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
