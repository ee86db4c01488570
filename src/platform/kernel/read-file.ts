import { join } from 'node:path/posix';
import { readFileSync } from '../node-fs.ts';

/** Reads an absolute path below some root; undefined when it cannot be read, for whatever reason. Never throws. */
export type ReadFile = (path: string) => string | undefined;

/**
 * A reader of the kernel's files, synchronous because they are a few bytes made up in memory.
 *
 * @param root directory that stands for `/`: tests put a tree of their own there.
 */
export function fileReader(root = '/'): ReadFile {
  return (path) => {
    try {
      return readFileSync(join(root, path), 'utf8');
    } catch {
      // ENOENT, EACCES, EISDIR, ENODEV of a vanished group: no file, no limit, and sizing goes on with the rest.
      return undefined;
    }
  };
}

/** What says nothing of the file: there is no descriptor or memory to open it with now, or the kernel cannot tell now. */
const PASSING: ReadonlySet<string | undefined> = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'EIO', 'EAGAIN', 'EINTR']);

/**
 * For one who reads the same few files again and again: what cannot be read just now is as it was last. A file that is
 * not there, or may not be read, is undefined, as that is a fact.
 */
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
      if (!PASSING.has((error as NodeJS.ErrnoException).code)) last.delete(path);
      return last.get(path);
    }
  };
}
