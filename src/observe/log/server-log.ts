/** The server log: pino, one JSON object a line, or one readable line on a terminal. */
import type { Logger } from 'pino';
import type { Settings } from '../../config/settings.ts';
import { closeSync, openSync } from '../../platform/node-fs.ts';
import { type LogDestination, openDestination } from './destination.ts';
import { prettyLine } from './pretty.ts';

export type { Logger } from 'pino';

/** At once, as `import()` is not: the first line may be the last one of a process that ends. */
const require = process.getBuiltinModule('node:module').createRequire(import.meta.url);

export interface ServerLog {
  /** Made at the first line: pino takes 8 MB, and most workers never have anything to say. */
  readonly logger: Logger;
  readonly destination: LogDestination;
  /** Says what is wrong with a log: on stderr where the server log itself could not be opened. */
  complain(problem: string): void;
}

/**
 * `who` is on each line: the pid, and for worker matters slot and age. A file that cannot be opened is an error, unless
 * lines `mayBeLost`.
 */
export function openServerLog(
  settings: Pick<Settings, 'logLevel' | 'logFormat' | 'errorLog'>,
  who: Readonly<Record<string, number>>,
  mayBeLost = false,
): ServerLog {
  const problems: string[] = [];
  const destination = openDestination(
    settings.errorLog,
    2,
    mayBeLost ? (problem) => problems.push(problem) : undefined,
  );
  let logger: Logger | undefined;
  const onStderr = problems.length > 0 ? openServerLog({ ...settings, errorLog: '-' }, who) : undefined;
  const log: ServerLog = {
    destination,
    complain: (problem) => {
      (onStderr ?? log).logger.error(`${problem}. Its lines are lost until it can be, which is tried every second`);
    },
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
  problems.forEach(log.complain);
  return log;
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
