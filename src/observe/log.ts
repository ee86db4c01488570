/** The server log: pino, one JSON object a line, or one readable line on a terminal. */
import { type Logger, pino, stdTimeFunctions } from 'pino';
import type { Settings } from '../config/settings.ts';
import { type LogDestination, openDestination } from './destination.ts';
import { prettyLine } from './pretty.ts';

export type { Logger } from 'pino';

export interface ServerLog {
  readonly logger: Logger;
  readonly destination: LogDestination;
}

/** `who` is on each line: the pid, and for worker matters slot and age. Throws where the file cannot be opened. */
export function openServerLog(
  settings: Pick<Settings, 'logLevel' | 'logFormat' | 'errorLog'>,
  who: Readonly<Record<string, number>>,
): ServerLog {
  const destination = openDestination(settings.errorLog, 2);
  const pretty = settings.logFormat === 'pretty';
  const logger = pino(
    {
      level: settings.logLevel,
      base: who,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: (line: string) => destination.write(Buffer.from(pretty ? prettyLine(line) : line)) },
  );
  return { logger, destination };
}
