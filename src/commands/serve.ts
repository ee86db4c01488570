/** `tsunicorn`: serves until it is told to stop. */
import { Arbiter } from '../arbiter/arbiter.ts';
import { loadSettings } from '../config/load.ts';
import { describeConfig } from '../config/render.ts';
import { EXIT_CODES, HaltServer } from '../errors.ts';
import { openServerLog } from '../observe/log.ts';
import { limitsReader } from '../platform/limits.ts';
import type { Signals } from '../platform/signals.ts';
import { effectiveSettings } from './effective.ts';
import { environmentOf } from './environment.ts';

/** Resolves with the exit status; the last line of the log says why. */
export async function serve(process: NodeJS.Process, signals: Signals): Promise<number> {
  const loaded = loadSettings(environmentOf(process));
  const { settings } = loaded;
  const log = openServerLog(settings, { pid: process.pid });
  process.title = 'tsunicorn: arbiter';
  const arbiter = new Arbiter({
    settings,
    describeSettings: (decided) => describeConfig(loaded, effectiveSettings(settings, decided)),
    readLimits: limitsReader(),
    logger: log.logger,
    reopenLog: () => log.destination.reopen(),
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
