/** From the plan to an app that can be served, or to the words with which this worker fails to boot. */
import { setTimeout as sleep } from 'node:timers/promises';
import { AppLoadError, EXIT_CODES } from '../errors.ts';
import { describeError, type WorkerPlan } from '../messages.ts';
import type { ServerLog } from '../observe/log/server-log.ts';
import type { App } from './app/app.ts';
import { type Hooks, hooksOf, NO_HOOKS } from './app/hooks.ts';
import { loadApp } from './app/load.ts';
import type { Program } from './app/program.ts';
import type { Channel } from './channel.ts';
import type { Standalone } from './standalone/standalone.ts';

export interface Booted {
  readonly app: App;
  readonly hooks: Hooks;
}

/** A program that listens is served, also when its import goes on for ever (`await once(process, 'SIGTERM')`). */
const LONGEST_IMPORT_AFTER_LISTEN_MS = 1_000;
/** A module that does not seem to become an app is worth a line before the boot timeout. */
const HINT_AFTER_MS = 2_000;

/** What a shell says of a process that SIGTERM has ended: 128 + 15. */
const TERMINATED = 143;

/** The app with its hooks, `onStartup` done, or the status to end with where there is none to serve. */
export async function boot(
  plan: WorkerPlan,
  channel: Channel,
  log: ServerLog,
  unmodified: Standalone,
): Promise<Booted | number> {
  const { settings } = plan;
  const failure = Promise.withResolvers<never>();
  unmodified.tell({
    exits: (status, stack) => {
      const reason = `exit code ${status}: the app called process.exit(${status}) while it booted`;
      log.logger.error({ stack }, reason);
      log.destination.flushSync();
      channel.send({ type: 'boot-failed', reason, stack, fatal: false });
      return 'now';
    },
    closesServer: () => {},
    terminated: () => unmodified.door.now(TERMINATED),
    threw: (error) => failure.reject(error),
  });
  let hooks = NO_HOOKS;
  const waitingFor = (what: string): void => channel.send({ type: 'boot-progress', waitingFor: what });
  const program: Program = {
    imported: async (module) => {
      hooks = hooksOf(module);
      // `check` runs where an image is built: what the app connects to is not there.
      if (plan.checkOnly || !hooks.onStartup) return;
      waitingFor('onStartup()');
      await hooks.onStartup();
    },
    ownServer: (exported, isNamed) => unmodified.capture.choose(exported, isNamed),
    listensMeanwhile: async () => {
      try {
        await unmodified.capture.listening();
      } finally {
        await sleep(LONGEST_IMPORT_AFTER_LISTEN_MS, undefined, { ref: false });
      }
    },
    listensInstead: (problem) => untilItListens(problem, channel, log, unmodified),
  };
  const options = { forwardedAllowIps: settings.forwardedAllowIps, waitingFor, program };
  try {
    const app = await Promise.race([loadApp(settings.app, settings.chdir, options), failure.promise]);
    unmodified.capture.settled(app.kind === 'server' ? app.server : undefined);
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

/** Waits for the program to listen, as long as anything in it can still do so. */
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
  const nobodyCan = alone.promise.then(() => {
    const sentence = problem.message.replace(/\.$/, '');
    throw new AppLoadError(`${sentence}. Nor does it call listen()`, { cause: problem.cause });
  });
  try {
    await Promise.race([capture.listening(), nobodyCan]);
  } finally {
    alone.done();
    clearTimeout(hint);
  }
}
