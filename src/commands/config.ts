/** `tsunicorn config`: every setting, its effective value and where it came from. */
import { loadSettings } from '../config/load.ts';
import { type ConfigFormat, renderTable } from '../config/render.ts';
import { SETTINGS } from '../config/settings.ts';
import { EXIT_CODES, HaltServer } from '../errors.ts';
import { readLimits } from '../platform/kernel/limits.ts';
import { decideSizing } from '../sizing.ts';
import { effectiveSettings } from './effective.ts';
import { environmentOf } from './environment.ts';

const FORMS: Readonly<Record<string, ConfigFormat>> = { '--json': 'json', '--markdown': 'markdown', '--env': 'env' };

export function config(process: NodeJS.Process, args: readonly string[]): number {
  const form = args.length === 0 ? 'text' : FORMS[args[0] ?? ''];
  if (form === undefined || args.length > 1) {
    throw new HaltServer(`tsunicorn config takes one of ${Object.keys(FORMS).join(', ')}, or nothing`, 'config');
  }
  const loaded = loadSettings(environmentOf(process));
  const { settings } = loaded;
  const sizing = decideSizing(settings, readLimits());
  process.stdout.write(renderTable(SETTINGS, loaded, effectiveSettings(settings, sizing), form));
  return EXIT_CODES.ok.status;
}
