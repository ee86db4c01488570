/** From the plan to an app that can be served, or to the reason why this worker fails to boot. */
import { setTimeout as sleep } from 'node:timers/promises';
import { AppLoadError, EXIT_CODES } from '../errors.ts';
import { describeError, type WorkerPlan } from '../messages.ts';
import type { ServerLog } from '../observe/log/server-log.ts';
import type { App } from './app/app.ts';
import { type Hooks, hooksOf } from './app/exports.ts';
import { loadApp, type Program } from './app/load.ts';
import type { Channel } from './channel.ts';
import type { Standalone } from './standalone/standalone.ts';

export interface Booted {
  readonly app: App;
  readonly hooks: Hooks;
}

/** A program that listens is served even if its import never ends (`await once(process, 'SIGTERM')`). */
const LONGEST_IMPORT_AFTER_LISTEN_MS = 1_000;
/** A module that does not become an app gets a line in the log well before the boot timeout. */
const HINT_AFTER_MS = 2_000;

/** As a shell reports a process that SIGTERM ended: 128 + 15. */
const TERMINATED = 143;

/** The app with its hooks, after `onStartup`; or the exit status where there is none to serve. */
export async function boot(
  plan: WorkerPlan,
  channel: Channel,
  log: ServerLog,
  standalone: Standalone,
): Promise<Booted | number> {
  const { settings } = plan;
  const failure = Promise.withResolvers<never>();
  standalone.actions = {
    exits: (status, stack) => {
      const reason = `exit code ${status}: the app called process.exit(${status}) while it booted`;
      log.logger.error({ stack }, reason);
      log.destination.flushSync();
      channel.send({ type: 'boot-failed', reason, stack, fatal: false });
      return 'now';
    },
    closesServer: () => {},
    terminated: () => standalone.exit.now(TERMINATED),
    threw: (error) => failure.reject(error),
  };
  let hooks: Hooks = { onStartup: undefined, onShutdown: undefined };
  const program: Program = {
    waitingFor: (what) => channel.send({ type: 'boot-progress', waitingFor: what }),
    imported: async (module) => {
      hooks = hooksOf(module);
      // `check` runs where an image is built, without what the app connects to.
      if (plan.checkOnly || !hooks.onStartup) return;
      program.waitingFor('onStartup()');
      await hooks.onStartup();
    },
    ownServer: (exported, isNamed) => standalone.capture.choose(exported, isNamed),
    listensMeanwhile: async () => {
      try {
        await standalone.capture.listening();
      } finally {
        await sleep(LONGEST_IMPORT_AFTER_LISTEN_MS, undefined, { ref: false });
      }
    },
    listensInstead: (problem) => untilItListens(problem, channel, log, standalone),
  };
  try {
    const app = await Promise.race([loadApp(settings.app, settings.chdir, program), failure.promise]);
    standalone.capture.settled(app.kind === 'server' ? app.server : undefined);
    return { app, hooks };
  } catch (error) {
    const fatal = error instanceof AppLoadError;
    const { reason } = describeError(error);
    log.logger.error({ err: fatal && error.cause ? error.cause : error }, `the app failed to load: ${reason}`);
    await log.destination.close();
    const { stack } = describeError(fatal && error.cause instanceof Error ? error.cause : error);
    await channel.sendLast({ type: 'boot-failed', reason, stack, fatal });
    return fatal ? EXIT_CODES.app.status : EXIT_CODES.boot.status;
  }
}

/** Waits for the program to listen, as long as anything in it still can. */
async function untilItListens(
  problem: AppLoadError,
  channel: Channel,
  log: ServerLog,
  { capture }: Standalone,
): Promise<void> {
  const hint = setTimeout(() => {
    log.logger.warn(`waiting for the app to call listen(), until TSUNICORN_BOOT_TIMEOUT: ${problem.message}`);
  }, HINT_AFTER_MS).unref();
  const alone = channel.alone();
  const nothingCan = alone.promise.then(() => {
    const sentence = problem.message.replace(/\.$/, '');
    throw new AppLoadError(`${sentence}. Nor does it call listen()`, { cause: problem.cause });
  });
  try {
    await Promise.race([capture.listening(), nothingCan]);
  } finally {
    alone.done();
    clearTimeout(hint);
  }
}
