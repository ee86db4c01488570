import { isAbsolute } from 'node:path';
import { isatty } from 'node:tty';
import type { Environment } from '../config/load.ts';
import { HaltServer } from '../errors.ts';
import { statSync } from '../platform/node-fs.ts';

/** The process as the settings see it. */
export function environmentOf(process: NodeJS.Process): Environment {
  return { env: process.env, cwd: workingDirectory(process), isTerminal: isatty(2) };
}

/**
 * The name by which the shell came to it, where it still is that directory: a name that goes through a symbolic link
 * leads to another release once the link does, as Gunicorn's users expect at a reload.
 */
function workingDirectory({ env: { PWD }, cwd }: NodeJS.Process): string {
  let real: string;
  try {
    real = cwd();
  } catch {
    throw new HaltServer(
      'the working directory has been removed, or cannot be entered: start in another one',
      'config',
    );
  }
  if (PWD === undefined || !isAbsolute(PWD)) return real;
  const [named, here] = [PWD, real].map((path) => statSync(path, { throwIfNoEntry: false }));
  return named && here && named.ino === here.ino && named.dev === here.dev ? PWD : real;
}
