/** What `tsunicorn config` prints: each setting, its value in the user's form, and where it came from. */
import type { LoadedSettings, LoadedTable } from './load.ts';
import { SETTINGS } from './settings.ts';
import { type Setting, show, type Table } from './table.ts';

export type ConfigFormat = 'text' | 'json' | 'markdown' | 'env';

/** What sizing made of a setting out of the cgroup's limits, by its key. */
export type Effective = Partial<Record<string, string>>;

interface ConfigLine {
  readonly setting: Setting;
  /** Undefined where nothing is set and there is no default. */
  readonly value: string | undefined;
  readonly origin: string;
  readonly variable: string | undefined;
}

export function renderTable<T extends Table>(
  table: T,
  loaded: LoadedTable<T>,
  effective: Effective,
  format: ConfigFormat,
): string {
  return FORMS[format](linesOf(table, loaded, effective, format));
}

const FORMS: Readonly<Record<ConfigFormat, (lines: readonly ConfigLine[]) => string>> = {
  text,
  json: (lines) => `${JSON.stringify(described(lines), null, 2)}\n`,
  markdown,
  env: envFile,
};

function linesOf<T extends Table>(table: T, loaded: LoadedTable<T>, effective: Effective, format: ConfigFormat) {
  return Object.entries(table).map(([key, setting]): ConfigLine => {
    const { kind, variable } = loaded.origins[key] ?? { kind: 'default' };
    const value = show(setting, loaded.settings[key]);
    // An env file keeps "auto", to be decided again where it is used.
    if (format === 'env') return { setting, value: kind === 'auto' ? 'auto' : value, origin: kind, variable };
    const sized = effective[key];
    return { setting, value: sized ?? value, origin: sized === undefined ? kind : 'cgroup', variable };
  });
}

/** The origin, and the variable where it is not the setting's name. */
function source({ setting, origin, variable }: ConfigLine): string {
  return variable === undefined || variable === setting.name ? origin : `${origin} ${variable}`;
}

function text(lines: readonly ConfigLine[]): string {
  const cells = [
    ['SETTING', 'VALUE', 'ORIGIN'],
    ...lines.map((line) => [line.setting.name, line.value || '(none)', source(line)]),
  ];
  const width = (column: number) => Math.max(...cells.map((row) => row[column]?.length ?? 0));
  const [name, value] = [width(0), width(1)];
  return cells.map(([a = '', b = '', c = '']) => `${a.padEnd(name)}  ${b.padEnd(value)}  ${c}\n`).join('');
}

export function describeConfig(loaded: LoadedSettings, effective: Effective) {
  return described(linesOf(SETTINGS, loaded, effective, 'json'));
}

/** `value` is null where nothing is set; `variable` is the one that was given. */
function described(lines: readonly ConfigLine[]) {
  const entries = lines.map(({ setting, value = null, origin, variable }) => {
    return [setting.name, { value, origin, ...(variable !== undefined && { variable }) }] as const;
  });
  return Object.fromEntries(entries);
}

function markdown(lines: readonly ConfigLine[]): string {
  return markdownTable(
    ['Variable', 'Value', 'Origin'],
    lines.map((line) => [code(line.setting.name), line.value ? code(line.value) : 'none', source(line)]),
  );
}

/** A code span in a table cell, where a bar would end the cell. */
export function code(text: string): string {
  return `\`${text.replaceAll('|', '\\|')}\``;
}

export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |\n`;
  return line(head) + line(head.map(() => '---')) + rows.map(line).join('');
}

const COMMENT_WIDTH = 100;

function comment(text: string): string {
  const wrapped = text.match(new RegExp(`.{1,${COMMENT_WIDTH - 2}}(?= |$)|\\S+`, 'g')) ?? [];
  return wrapped.map((part) => `# ${part.trim()}\n`).join('');
}

/** For `docker run --env-file`, which takes the text after the equals sign as it is. What is not set is commented out. */
function envFile(lines: readonly ConfigLine[]): string {
  const sections = Map.groupBy(lines, ({ setting }) => setting.section);
  return Array.from(sections, ([title, rows]) => `## ${title}\n${rows.map(assignment).join('')}`).join('\n');
}

function assignment({ setting, value = '', variable }: ConfigLine): string {
  const active = variable !== undefined && !setting.secret;
  return `\n${comment(setting.text)}${active ? '' : '#'}${setting.name}=${value}\n`;
}
