/** A pino line for people at a terminal: `12:00:01.123 INFO  worker ready  worker=0 age=1`. */

const COLOURS: Readonly<Record<string, number>> = { trace: 90, debug: 90, info: 32, warn: 33, error: 31, fatal: 31 };

/** Turns one JSON line into readable ones; what is not JSON stays as it is. */
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

/** What came from outside may hold control sequences for the terminal; line ends and tabs are left. */
function visible(text: string): string {
  return text.replace(/[^\P{Cc}\n\t]/gu, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
}
