/** What `tsunicorn config` prints: every setting, its value in the user's form, and where it came from. */
import type { Loaded, LoadedSettings } from './load.ts';
import { code, markdownTable } from './markdown.ts';
import { SETTINGS } from './settings.ts';
import { SECTIONS, type Setting, show, type Table } from './table.ts';

export type Form = 'text' | 'json' | 'markdown' | 'env';

/** What sizing made of a setting, by its key in `Settings`: `{ workers: { value: '2', origin: 'cgroup' } }`. */
export type Effective = Partial<Record<string, { readonly value: string; readonly origin: 'cgroup' }>>;

interface Line {
  readonly setting: Setting;
  /** As a user would write it; undefined where nothing is set and there is no default. */
  readonly value: string | undefined;
  readonly origin: string;
  readonly variable: string | undefined;
}

export function renderConfig(loaded: LoadedSettings, effective: Effective, form: Form): string {
  return renderTable(SETTINGS, loaded, effective, form);
}

/** {@link renderConfig} for any table. */
export function renderTable<T extends Table>(table: T, loaded: Loaded<T>, effective: Effective, form: Form): string {
  const lines = linesOf(table, loaded, effective, form);
  switch (form) {
    case 'text':
      return text(lines);
    case 'json':
      return json(lines);
    case 'markdown':
      return markdown(lines);
    case 'env':
      return envFile(lines);
    default:
      return form satisfies never;
  }
}

function linesOf<T extends Table>(table: T, loaded: Loaded<T>, effective: Effective, form: Form): Line[] {
  return Object.entries(table).map(([key, setting]): Line => {
    const { kind, variable } = loaded.origins[key] ?? { kind: 'default' };
    // An env file keeps "auto", to be decided again wherever it is used.
    const auto = form === 'env' && kind === 'auto' ? 'auto' : undefined;
    const sized = form === 'env' ? undefined : effective[key];
    const value = sized?.value ?? auto ?? show(setting, loaded.settings[key]);
    return { setting, value, origin: sized?.origin ?? kind, variable };
  });
}

/** The origin, with the variable where that is not the setting's own name. */
function source({ setting, origin, variable }: Line): string {
  return variable === undefined || variable === setting.name ? origin : `${origin} ${variable}`;
}

function text(lines: readonly Line[]): string {
  const cells = [
    ['SETTING', 'VALUE', 'ORIGIN'],
    ...lines.map((line) => [line.setting.name, line.value || '(none)', source(line)]),
  ];
  const width = (column: number) => Math.max(...cells.map((row) => row[column]?.length ?? 0));
  const [name, value] = [width(0), width(1)];
  return cells.map(([a = '', b = '', c = '']) => `${a.padEnd(name)}  ${b.padEnd(value)}  ${c}\n`).join('');
}

/** `value` is null where nothing is set, `variable` is there where one was given. */
export interface Described {
  readonly value: string | null;
  readonly origin: string;
  readonly variable?: string;
}

/** Every setting by its variable, secrets redacted: what the JSON form has. */
export function describeConfig(loaded: LoadedSettings, effective: Effective): Record<string, Described> {
  return described(linesOf(SETTINGS, loaded, effective, 'json'));
}

function described(lines: readonly Line[]): Record<string, Described> {
  return Object.fromEntries(
    lines.map(({ setting, value, origin, variable }) => [
      setting.name,
      { value: value ?? null, origin, ...(variable !== undefined && { variable }) },
    ]),
  );
}

function json(lines: readonly Line[]): string {
  return `${JSON.stringify(described(lines), null, 2)}\n`;
}

function markdown(lines: readonly Line[]): string {
  return markdownTable(
    ['Variable', 'Value', 'Origin'],
    lines.map((line) => [code(line.setting.name), line.value ? code(line.value) : 'none', source(line)]),
  );
}

const COMMENT_WIDTH = 100;

function comment(text: string): string {
  const wrapped = text.match(new RegExp(`.{1,${COMMENT_WIDTH - 2}}(?= |$)|\\S+`, 'g')) ?? [];
  return wrapped.map((part) => `# ${part.trim()}\n`).join('');
}

/** For `docker run --env-file`, which takes what follows the equals sign as it is. Only what is set is in force. */
function envFile(lines: readonly Line[]): string {
  const section = (title: string) =>
    lines
      .filter(({ setting }) => setting.section === title)
      .map(({ setting, value = '', variable }) => {
        const active = variable !== undefined && !setting.secret;
        return `\n${comment(setting.text)}${active ? '' : '#'}${setting.name}=${value}\n`;
      })
      .join('');
  return SECTIONS.map((title) => ({ title, rows: section(title) }))
    .filter(({ rows }) => rows !== '')
    .map(({ title, rows }) => `## ${title}\n${rows}`)
    .join('\n');
}
