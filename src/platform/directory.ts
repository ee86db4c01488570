/** The directory that workers start in, `TSUNICORN_CHDIR`. */
import { HaltServer } from '../errors.ts';
import { accessSync, constants } from './node-fs.ts';

const PROBLEMS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such directory',
  ENOTDIR: 'this is not a directory',
};

/**
 * Why this process cannot work in it: spawn reports ENOENT and EACCES for the directory and for the program alike, and a
 * file below a directory that may not be entered looks as if it were missing. `user`: `TSUNICORN_USER`, if this process
 * runs as that one.
 */
export function directoryProblem(path: string, user?: string): HaltServer | undefined {
  try {
    accessSync(`${path}/.`, constants.X_OK); // as chdir(2)
    return undefined;
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    const by = user === undefined ? '' : ` by TSUNICORN_USER=${user}`;
    const why = PROBLEMS[code] ?? `the directory cannot be entered${by} (${code})`;
    return new HaltServer(`TSUNICORN_CHDIR=${path}: ${why}`, 'config');
  }
}
