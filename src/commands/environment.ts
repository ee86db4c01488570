import { isatty } from 'node:tty';
import type { Environment } from '../config/load.ts';

/** The process as the settings see it. */
export function environmentOf(process: NodeJS.Process): Environment {
  return { env: process.env, cwd: process.cwd(), isTerminal: isatty(2) };
}
