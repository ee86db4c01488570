/** Settings that are good each by itself and cannot hold together. */
import type { ConfigProblem } from '../errors.ts';
import { overlap } from './bind-address.ts';
import { nameOf, SETTINGS, type Settings } from './settings.ts';
import { show } from './table.ts';

/** @param values those that could be read: a setting with a problem of its own is not there */
export function conflicts(values: Partial<Settings>): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const shown = (key: keyof Settings) => show(SETTINGS[key], values[key]) ?? '';
  const other = (key: keyof Settings) => `${nameOf(key)} (${shown(key)})`;
  const report = (key: keyof Settings, message: string) =>
    problems.push({ name: nameOf(key), value: shown(key), message });

  // What is not there is NaN, which no comparison holds for.
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
