/** `tsunicorn config`: every setting, its effective value and where it came from. */
import { environmentOf, loadSettings } from '../config/load.ts';
import { type ConfigFormat, type Effective, renderTable } from '../config/render.ts';
import { SETTINGS, type Settings } from '../config/settings.ts';
import { EXIT_CODES, HaltServer } from '../errors.ts';
import { readLimits } from '../platform/kernel/limits.ts';
import { decideSizing, type Sizing } from '../sizing.ts';

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

/** The settings that were left to sizing. */
export function effectiveSettings(settings: Settings, sizing: Sizing): Effective {
  const effective: Effective = {};
  if (settings.workers === 'auto') effective.workers = String(sizing.workers);
  if (settings.workerHeap === 'auto' && sizing.heapBytes !== undefined) {
    effective.workerHeap = SETTINGS.workerHeap.parser.format(sizing.heapBytes);
  }
  if (settings.maxWorkerRss === 'auto' && sizing.maxRss !== undefined) {
    effective.maxWorkerRss = SETTINGS.maxWorkerRss.parser.format(sizing.maxRss);
  }
  return effective;
}
