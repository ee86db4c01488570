/** The server log: pino, one JSON object a line, or one readable line on a terminal. */
import type { Logger } from 'pino';
import type { Settings } from '../config/settings.ts';
import { closeSync, openSync } from '../platform/node-fs.ts';
import { type LogDestination, openDestination } from './destination.ts';
import { prettyLine } from './pretty.ts';

export type { Logger } from 'pino';

/** At once, as `import()` is not: the first line may be the last one of a process that ends. */
const require = process.getBuiltinModule('node:module').createRequire(import.meta.url);

export interface ServerLog {
  /** Made at the first line: pino takes 8 MB, and most workers never have anything to say. */
  readonly logger: Logger;
  readonly destination: LogDestination;
}

/** `who` is on each line: the pid, and for worker matters slot and age. Throws where the file cannot be opened. */
export function openServerLog(
  settings: Pick<Settings, 'logLevel' | 'logFormat' | 'errorLog'>,
  who: Readonly<Record<string, number>>,
): ServerLog {
  const destination = openDestination(settings.errorLog, 2);
  let logger: Logger | undefined;
  return {
    destination,
    get logger() {
      try {
        logger ??= openLogger(settings, who, destination);
        return logger;
      } catch (error) {
        if (isOutOfDescriptors()) return SILENT;
        throw error;
      }
    },
  };
}

const nothing = (): void => {};
/** For a process that has no descriptor left to load pino with: to lose a line is better than to end. */
const SILENT = {
  trace: nothing,
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
  fatal: nothing,
} as unknown as Logger;

/** What the module loader throws then has many names. */
function isOutOfDescriptors(): boolean {
  try {
    closeSync(openSync('/dev/null', 'r'));
    return false;
  } catch {
    return true;
  }
}

function openLogger(
  { logLevel, logFormat }: Pick<Settings, 'logLevel' | 'logFormat'>,
  who: Readonly<Record<string, number>>,
  destination: LogDestination,
): Logger {
  const { pino, stdTimeFunctions } = require('pino') as typeof import('pino');
  const isPretty = logFormat === 'pretty';
  return pino(
    {
      level: logLevel,
      base: who,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: (line: string) => destination.write(Buffer.from(isPretty ? prettyLine(line) : line)) },
  );
}
