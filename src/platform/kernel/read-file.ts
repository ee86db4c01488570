/** Reads the kernel's files. Synchronous, since the kernel makes up their few bytes in memory. */
import { join } from 'node:path/posix';
import { readFileSync } from '../node-fs.ts';

/** Reads an absolute path; undefined where that fails, for whatever reason. Never throws. */
export type ReadFile = (path: string) => string | undefined;

/** @param root directory that stands for `/` in tests */
export function fileReader(root = '/'): ReadFile {
  return (path) => {
    try {
      return readFileSync(join(root, path), 'utf8');
    } catch {
      return undefined; // ENOENT, EACCES, EISDIR, or ENODEV of a removed group: no file, no limit
    }
  };
}

/** Errors that say nothing about the file: no descriptor or memory to open it, or the kernel is busy. */
const TRANSIENT: ReadonlySet<string | undefined> = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'EIO', 'EAGAIN', 'EINTR']);

/** For repeated reads of the same files: a transient error returns the last text. */
export function steadyReader(
  root = '/',
  read: (file: string) => string = (file) => readFileSync(file, 'utf8'),
): ReadFile {
  const last = new Map<string, string>();
  return (path) => {
    try {
      const text = read(join(root, path));
      last.set(path, text);
      return text;
    } catch (error) {
      if (!TRANSIENT.has((error as NodeJS.ErrnoException).code)) last.delete(path);
      return last.get(path);
    }
  };
}

/** The fields of proc_pid_stat(5) from the state on: `pid (comm) state ppid …`, where comm may hold blanks and `)`. */
export function statFields(read: ReadFile, pid: number): string[] {
  const text = read(`/proc/${pid}/stat`);
  return text === undefined ? [] : text.slice(text.lastIndexOf(')') + 2).split(' ');
}

/** The number of a `key number` line: "Flat keyed" in cgroup-v2 (kernel documentation). */
export function fieldOf(text: string | undefined, key: string): number | undefined {
  const digits = new RegExp(`^${key} (\\d+)$`, 'm').exec(text ?? '')?.[1];
  return digits === undefined ? undefined : Number(digits);
}
