/** `tsunicorn config`: every setting, its effective value and where it came from. */
import { isAbsolute } from 'node:path';
import { isatty } from 'node:tty';
import { type Environment, loadSettings } from '../config/load.ts';
import { type ConfigFormat, type Effective, renderTable } from '../config/render.ts';
import { SETTINGS, type Settings } from '../config/settings.ts';
import { EXIT_CODES, HaltServer } from '../errors.ts';
import { readLimits } from '../platform/kernel/limits.ts';
import { statSync } from '../platform/node-fs.ts';
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
