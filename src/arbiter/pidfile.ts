/** `TSUNICORN_PIDFILE`: the arbiter's pid for init scripts. */
import { HaltServer } from '../errors.ts';
import { fileReader } from '../platform/kernel/read-file.ts';
import { readFileSync, rmSync, statSync, writeFileSync } from '../platform/node-fs.ts';

/** What `serve` sets as process.title; the kernel cuts it to the length of the original command line. */
const TITLE = 'tsunicorn: arbiter';
const SHORTEST_TITLE = 'tsunicorn:'.length;

/**
 * Writes the file; refuses to take it from a running arbiter (69). Returns what removes it again.
 * @param info is called if the pid in the file is not an arbiter's
 * @param root in place of `/`
 */
export function writePidfile(path: string, pid: number, info: (message: string) => void, root = '/'): () => void {
  const problem = (message: string): HaltServer => new HaltServer(`TSUNICORN_PIDFILE=${path}: ${message}`, 'config');
  try {
    // Opening a FIFO would wait for its other end.
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat && !stat.isFile()) throw problem('this is not a regular file');
    const other = stat && pidIn(readFileSync(path, 'utf8'));
    if (other !== undefined && other !== pid && isAlive(other)) {
      const stranger = strangerWith(other, root);
      if (stranger === undefined) throw new HaltServer(`TSUNICORN_PIDFILE=${path}: ${RUNNING(other)}`, 'bind');
      info(`TSUNICORN_PIDFILE=${path} is stale: pid ${other} is ${stranger}, not an arbiter`);
    }
    writeFileSync(path, `${pid}\n`);
  } catch (error) {
    throw error instanceof HaltServer ? error : problem((error as Error).message);
  }
  return () => {
    try {
      if (pidIn(readFileSync(path, 'utf8')) === pid) rmSync(path);
    } catch {
      // removed, or no longer readable
    }
  };
}

function pidIn(text: string): number | undefined {
  const pid = Number(text);
  return Number.isInteger(pid) && pid > 0 ? pid : undefined;
}

const RUNNING = (pid: number): string =>
  `an arbiter runs with pid ${pid}. Stop it, or give this server another file; if pid ${pid} is not tsunicorn, remove the file`;

/** What a live process is, if not an arbiter. Undefined if it is one, or the system cannot tell. */
function strangerWith(pid: number, root: string): string | undefined {
  const read = fileReader(root);
  const status = read(`/proc/${pid}/status`);
  const commandLine = read(`/proc/${pid}/cmdline`)?.replaceAll('\0', ' ').trim();
  if (status === undefined || commandLine === undefined) return undefined; // no /proc (macOS), or hidepid
  // proc_pid_status(5). kill(2) takes the id of any thread.
  if (!status.includes(`\nTgid:\t${pid}\n`)) return 'a thread';
  if (/^State:\t[ZX]/m.test(status)) return 'a zombie';
  const isArbiter = commandLine.length >= SHORTEST_TITLE && TITLE.startsWith(commandLine.slice(0, TITLE.length));
  return isArbiter ? undefined : `another program (${commandLine.slice(0, 80)})`;
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
