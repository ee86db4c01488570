/** CPU time and resident memory of processes, from proc(5). */
import { readdirSync, readFileSync } from 'node:fs';

/** The unit of utime and stime in /proc/PID/stat: USER_HZ, which is 100 in the ABI of every Linux port in use. */
const TICKS_PER_SECOND = 100;

/** A process and all its descendants; only itself where it has ended. */
export function treeOf(pid: number): number[] {
  try {
    const children = readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
    );
    return [pid, ...children.flatMap(treeOf)];
  } catch {
    return [pid];
  }
}

/** User and system time, in seconds, that these processes have used so far, all threads, in steps of 10 ms each. */
export function cpuSeconds(pids: readonly number[]): number {
  const ticks = pids.map((pid) => {
    // The second field is the command in parentheses and may itself hold spaces and parentheses.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    return Number(fields[11]) + Number(fields[12]); // utime and stime: fields 14 and 15 of the whole line
  });
  return ticks.reduce((a, b) => a + b, 0) / TICKS_PER_SECOND;
}

/** VmRSS in megabytes of 10⁶ bytes. */
export function residentMegabytes(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  if (kib === undefined) throw new Error(`process ${pid} has ended`);
  return (Number(kib) * 1024) / 1e6;
}

export function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
