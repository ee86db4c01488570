/** `tsunicorn`: serves until it is told to stop. */
import { Arbiter } from '../arbiter/arbiter.ts';
import { environmentOf, givenOf, loadSettings } from '../config/load.ts';
import { describeConfig } from '../config/render.ts';
import { rereadSettings } from '../config/reread.ts';
import { EXIT_CODES, HaltServer } from '../errors.ts';
import { openServerLog, type ServerLog } from '../observe/log/server-log.ts';
import { limitsReader } from '../platform/kernel/limits.ts';
import type { Signals } from '../platform/signals.ts';
import { effectiveSettings } from './config.ts';

/** Resolves with the exit status; the last line of the log says why. */
export async function serve(process: NodeJS.Process, signals: Signals): Promise<number> {
  const environment = environmentOf(process);
  let loaded = loadSettings(environment);
  const { settings } = loaded;
  const log = openServerLog(settings, { pid: process.pid });
  logWarnings(process, log);
  process.title = 'tsunicorn: arbiter';
  const arbiter = new Arbiter({
    settings,
    given: () => givenOf(loaded),
    rereadSettings: () => {
      const reread = rereadSettings(loaded, environment);
      loaded = reread.loaded;
      return reread;
    },
    describeSettings: (decided) => describeConfig(loaded, effectiveSettings(loaded.settings, decided)),
    readLimits: limitsReader(),
    serverLog: log,
    signals,
    process,
  });
  try {
    return await arbiter.run();
  } catch (error) {
    const status = error instanceof HaltServer ? error.status : EXIT_CODES.failure.status;
    if (status === EXIT_CODES.ok.status) log.logger.info({ status }, (error as Error).message);
    else if (error instanceof HaltServer) log.logger.fatal({ status }, error.message);
    else log.logger.fatal({ status, err: error }, 'tsunicorn failed unexpectedly; please report this');
    return status;
  } finally {
    await log.destination.close();
  }
}

/** Node.js would write its own warnings to stderr, and block the arbiter where nothing reads there. */
function logWarnings(process: NodeJS.Process, log: ServerLog): void {
  const own = process.listeners('warning').find(({ name }) => name === 'onWarning');
  if (!own) return; // NODE_NO_WARNINGS
  process.off('warning', own);
  process.on('warning', (err) => log.logger.warn({ err }, err.message));
}
