/**
 * THE table: each setting once, with its name, parser, default, section and text. The type of the settings, their
 * validation, the output of `tsunicorn config` and docs/configuration.md all derive from it.
 * Workers import the types alone: the parsers bring env-var with them, which takes 4 MB of resident memory.
 */
import { OPERATION } from './sections/operation.ts';
import { REQUESTS } from './sections/requests.ts';
import { SERVING } from './sections/serving.ts';
import { type Table, type ValuesOf, variablesOf } from './table.ts';

export type { BindAddress } from '../platform/address.ts';

export const SETTINGS = { ...SERVING, ...REQUESTS, ...OPERATION } as const satisfies Table;

/** Times are seconds, sizes bytes, paths absolute. */
export type Settings = ValuesOf<typeof SETTINGS>;

/** Every variable that tsunicorn reads: the settings' names and aliases, and the `_FILE` form of each. */
export function settingNames(): string[] {
  return variablesOf(SETTINGS);
}

/** The variable that a setting is known by, for messages. */
export function nameOf(key: keyof Settings): string {
  return SETTINGS[key].name;
}
