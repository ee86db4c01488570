/** `TSUNICORN_RELOAD`: what the arbiter says and does about source files that change, for development. */
import { relative } from 'node:path';
import { watchSources } from '../platform/watch.ts';
import type { ArbiterContext } from './context.ts';

export function reloadOnChange({ settings, process, log }: ArbiterContext, reload: () => void): () => void {
  const { chdir, accessLog, errorLog } = settings;
  log.warn(RELOADS(chdir) + (process.env.NODE_ENV === 'production' ? ' NODE_ENV is production here: unset it.' : ''));
  return watchSources({
    directory: chdir,
    ignore: new Set([accessLog, errorLog]),
    changed: (files) => {
      const [first = '', ...others] = files.map((file) => relative(chdir, file));
      log.info(`${first}${others.length > 0 ? ` and ${others.length} more` : ''} changed: reloading`);
      reload();
    },
    failed: (directory, error) => {
      const mend = error.code === 'ENOSPC' ? ': raise the sysctl fs.inotify.max_user_watches' : '';
      log.warn(`changes in ${directory} are not seen: ${error.message}${mend}`);
    },
  });
}

const RELOADS = (directory: string): string =>
  `TSUNICORN_RELOAD is on, for development alone: workers are replaced when a source file below ${directory} changes, and their requests get one second.`;
