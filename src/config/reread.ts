/** HUP reads the `_FILE`s again: what changed is in force with the new workers, as far as it can be without a restart. */
import { ConfigError } from '../errors.ts';
import { type Environment, type LoadedSettings, loadSettings } from './load.ts';
import { conflicts, SETTINGS, type Settings } from './settings.ts';
import type { Setting } from './table.ts';

export interface Reread {
  /** In force from now on. */
  readonly loaded: LoadedSettings;
  /** Variables whose values changed and are in force, and those that keep their old values until a restart. */
  readonly changed: readonly string[];
  readonly needRestart: readonly string[];
}

/** Throws ConfigError where `inForce` has to stay as it is. */
export function rereadSettings(inForce: LoadedSettings, environment: Environment): Reread {
  if (!Object.values(inForce.origins).some(({ kind }) => kind === 'file')) {
    return { loaded: inForce, changed: [], needRestart: [] };
  }
  const fresh = loadSettings(environment);
  const settings: Record<string, unknown> = { ...fresh.settings };
  const [changed, needRestart]: [string[], string[]] = [[], []];
  for (const key of Object.keys(SETTINGS) as (keyof Settings)[]) {
    const { name, atStart = false }: Setting = SETTINGS[key];
    const [before, now] = [inForce.settings[key], fresh.settings[key]];
    if (JSON.stringify(before) === JSON.stringify(now)) continue;
    if (atStart) settings[key] = before;
    // Others follow from one that a file gives, such as the address from the port.
    if (fresh.origins[key].kind === 'file') (atStart ? needRestart : changed).push(name);
  }
  const merged = settings as unknown as Settings;
  const problems = conflicts(merged);
  if (problems.length > 0) throw new ConfigError(problems);
  return { loaded: { settings: merged, origins: fresh.origins }, changed, needRestart };
}
