/** `TSUNICORN_PIDFILE`: the arbiter's pid for init scripts. */
import { HaltServer } from '../errors.ts';
import { readFileSync, rmSync, writeFileSync } from '../platform/node-fs.ts';

/** Writes the file; refuses to take it from a live process. Returns what removes it again. */
export function writePidfile(path: string, pid: number): () => void {
  const other = readPid(path);
  if (other !== undefined && other !== pid && isAlive(other)) {
    throw new HaltServer(`TSUNICORN_PIDFILE=${path}: process ${other} runs already`, 'failure');
  }
  try {
    writeFileSync(path, `${pid}\n`);
  } catch (error) {
    throw new HaltServer(`TSUNICORN_PIDFILE=${path}: ${(error as Error).message}`, 'config');
  }
  return () => {
    if (readPid(path) === pid) rmSync(path, { force: true });
  };
}

function readPid(path: string): number | undefined {
  try {
    const pid = Number(readFileSync(path, 'utf8'));
    return Number.isInteger(pid) && pid > 0 ? pid : undefined;
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
