/**
 * THE table: each setting once, with its name, parser, default, section and text. The type of the settings, validation,
 * `tsunicorn config` and docs/configuration.md derive from it.
 * Workers import types only: the parsers load env-var, which takes 4 MB of resident memory.
 */
import type { ConfigProblem } from '../errors.ts';
import { overlap } from './bind-address.ts';
import { OPERATION } from './sections/operation.ts';
import { REQUESTS } from './sections/requests.ts';
import { SERVING } from './sections/serving.ts';
import { show, type Table, type ValuesOf, variablesOf } from './table.ts';

export type { BindAddress } from '../platform/address.ts';

export const SETTINGS = { ...SERVING, ...REQUESTS, ...OPERATION } satisfies Table;

/** Times are seconds, sizes bytes, paths absolute. */
export type Settings = ValuesOf<typeof SETTINGS>;

/** Every variable that tsunicorn reads: names, aliases and their `_FILE` forms. */
export function settingNames(): string[] {
  return variablesOf(SETTINGS);
}

/** A setting's variable, for messages. */
export function nameOf(key: keyof Settings): string {
  return SETTINGS[key].name;
}

/** Settings that are valid each by itself but not together. `values` lacks those that could not be read. */
export function conflicts(values: Partial<Settings>): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const shown = (key: keyof Settings) => show(SETTINGS[key], values[key]) ?? '';
  const other = (key: keyof Settings) => `${nameOf(key)} (${shown(key)})`;
  const report = (key: keyof Settings, message: string) =>
    problems.push({ name: nameOf(key), value: shown(key), message });

  // NaN for what is missing: no comparison is true.
  const { minWorkers = Number.NaN, maxWorkers = Number.NaN } = values;
  if (minWorkers > maxWorkers) report('minWorkers', `must not be greater than ${other('maxWorkers')}`);

  const { drainDelay = Number.NaN, gracefulTimeout = Number.NaN } = values;
  if (drainDelay >= gracefulTimeout) {
    report('drainDelay', `must be less than ${other('gracefulTimeout')}, which includes it`);
  }
  // http.createServer() refuses a headersTimeout above its requestTimeout; 0 turns either off.
  const { headerTimeout = Number.NaN, bodyTimeout = Number.NaN } = values;
  if (bodyTimeout !== 0 && headerTimeout > bodyTimeout) {
    report('headerTimeout', `must not be greater than ${other('bodyTimeout')}, which includes it`);
  }
  const { limitRequestLine = Number.NaN, limitHeaderSize = Number.NaN } = values;
  if (limitRequestLine > limitHeaderSize) {
    report('limitRequestLine', `must not be greater than ${other('limitHeaderSize')}, which includes it`);
  }
  if (values.workerClass === 'sync' && (values.maxEventLoopLag ?? 0) > 0) {
    report('maxEventLoopLag', `must be 0 with ${other('workerClass')}, where a request may keep the event loop busy`);
  }
  const { bind, adminBind } = values;
  if (adminBind !== undefined && bind?.some((address) => overlap(address, adminBind))) {
    report('adminBind', `must not overlap with ${other('bind')}`);
  }
  return problems;
}
