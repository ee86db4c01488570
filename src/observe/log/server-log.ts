/** The server log: pino's JSON, or `12:00:01.123 INFO  worker is ready with app.js  worker=0` for people. */
import type { Logger } from 'pino';
import type { Settings } from '../../config/settings.ts';
import { closeSync, openSync } from '../../platform/node-fs.ts';
import { Destination, type LogDestination } from './destination.ts';

export type { Logger } from 'pino';

/** Synchronous, unlike import(): the first line may be the last of a process that exits. */
const require = process.getBuiltinModule('node:module').createRequire(import.meta.url);

export interface ServerLog {
  /** Made at the first line: pino takes 8 MB, and most workers never log. */
  readonly logger: Logger;
  readonly destination: LogDestination;
  /** Reports a log that cannot be opened: on stderr where it is the server log itself. */
  complain(problem: string): void;
}

/** `who` is on each line: `pid`, and in a worker `worker` and `workerId`. Throws HaltServer, unless lines `mayBeLost`. */
export function openServerLog(
  settings: Pick<Settings, 'logLevel' | 'logFormat' | 'errorLog'>,
  who: Readonly<Record<string, number>>,
  mayBeLost = false,
): ServerLog {
  const { logLevel: level, logFormat, errorLog } = settings;
  const problems: string[] = [];
  const lost = mayBeLost ? (problem: string) => problems.push(problem) : undefined;
  const destination = new Destination(errorLog, 2, lost);
  const write = (line: string): void =>
    destination.write(Buffer.from(logFormat === 'pretty' ? prettyLine(line) : line));
  let logger: Logger | undefined;
  const onStderr = problems.length > 0 ? openServerLog({ ...settings, errorLog: '-' }, who) : undefined;
  const log: ServerLog = {
    destination,
    complain: (problem) => {
      (onStderr ?? log).logger.error(`${problem}; its lines are lost until it opens (retried every second)`);
    },
    get logger() {
      if (logger) return logger;
      try {
        const { pino, stdTimeFunctions } = require('pino') as typeof import('pino');
        const formatters = { level: (label: string) => ({ level: label }) };
        logger = pino({ level, base: who, timestamp: stdTimeFunctions.isoTime, formatters }, { write });
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

const COLOURS: Readonly<Record<string, number>> = { trace: 90, debug: 90, info: 32, warn: 33, error: 31, fatal: 31 };

/** Without a descriptor to load pino, losing a line is better than exiting. */
const SILENT = Object.fromEntries(Object.keys(COLOURS).map((level) => [level, () => {}])) as unknown as Logger;

/** The module loader's error for it has many names. */
function isOutOfDescriptors(): boolean {
  try {
    closeSync(openSync('/dev/null', 'r'));
    return false;
  } catch {
    return true;
  }
}

/** A pino line for a terminal; what is not JSON stays as it is. */
export function prettyLine(line: string): string {
  let record: Record<string, unknown>;
  try {
    record = JSON.parse(line);
  } catch {
    return line;
  }
  if (typeof record !== 'object' || record === null || Array.isArray(record)) return line;
  const { level, time, pid: _pid, msg, err, ...rest } = record;
  const name = String(level);
  const clock = String(time).slice(11, 23);
  const details = Object.entries(rest).map(([key, value]) => `  ${key}=${visible(plain(value))}`);
  const stack = typeof err === 'object' && err !== null && 'stack' in err ? `\n${visible(String(err.stack))}` : '';
  return `\u001b[90m${clock}\u001b[39m \u001b[${COLOURS[name] ?? 39}m${name.toUpperCase().padEnd(5)}\u001b[39m ${visible(String(msg))}\u001b[90m${details.join('')}\u001b[39m${stack}\n`;
}

function plain(value: unknown): string {
  return typeof value === 'string' && !/\s/.test(value) ? value : JSON.stringify(value);
}

/** Escapes control sequences, which may come from outside; line ends and tabs stay. */
function visible(text: string): string {
  return text.replace(/[^\P{Cc}\n\t]/gu, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
}
