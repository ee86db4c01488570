import { join } from 'node:path/posix';
import { readFileSync } from './node-fs.ts';

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
