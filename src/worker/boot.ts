/** From the plan to an app that can be served, or to the reason why this worker fails to boot. */
import { constants } from 'node:os';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AppLoadError, EXIT_CODES } from '../errors.ts';
import { describeError, type WorkerPlan } from '../messages.ts';
import type { ServerLog } from '../observe/log/server-log.ts';
import type { Native } from '../platform/native/native.ts';
import type { App } from './app/app.ts';
import { type Hooks, hooksOf } from './app/exports.ts';
import { fileThatListens } from './app/listen-in-source.ts';
import { loadApp, type Program } from './app/load.ts';
import type { Channel } from './channel.ts';
import type { RequestContexts } from './http/request-context.ts';
import type { LeaderJobs } from './leader.ts';
import type { Mailbox } from './mailbox.ts';
import type { ProcessEvents } from './process-events.ts';
import type { Readiness } from './readiness.ts';
import type { Standalone } from './standalone/standalone.ts';

export interface WorkerContext {
  readonly plan: WorkerPlan;
  readonly events: ProcessEvents;
  readonly channel: Channel;
  readonly mailbox: Mailbox;
  readonly leader: LeaderJobs;
  readonly readiness: Readiness;
  readonly log: ServerLog;
  readonly standalone: Standalone;
  readonly native: Native | undefined;
  readonly requests: RequestContexts;
}

export interface Booted {
  readonly app: App;
  readonly hooks: Hooks;
}

/** A program that listens is served even if its import never ends (`await once(process, 'SIGTERM')`). */
const LONGEST_IMPORT_AFTER_LISTEN_MS = 1_000;
/** A program with work under way that exports an app and has a call of `listen()` is served without it after this time. */
const LONGEST_WAIT_FOR_LISTEN_MS = 10_000;
/** A module that does not become an app gets a line in the log well before the boot timeout. */
const HINT_AFTER_MS = 2_000;

/** The app with its hooks, after `onStartup`; or the exit status where there is none to serve. */
export async function boot(context: WorkerContext): Promise<Booted | number> {
  const { plan, channel, log, standalone } = context;
  const failure = Promise.withResolvers<never>();
  standalone.actions = {
    exits: (status, stack, after) => {
      const reason = `exit code ${status}: the app called process.exit(${status}) while it booted`;
      log.logger.error({ stack, ...(after !== undefined && { err: after }) }, reason);
      log.destination.flushSync();
      channel.send({ type: 'boot-failed', reason, stack, fatal: false });
      return 'now';
    },
    closesServer: () => {},
    takesOver: () => {},
    terminated: () => standalone.exit.now(128 + constants.signals.SIGTERM), // as a shell reports it
    leaves: (call) => failure.reject(new Error(`the app called ${call} while it booted`)),
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
    listensMeanwhile: () =>
      standalone.capture.listening().finally(() => sleep(LONGEST_IMPORT_AFTER_LISTEN_MS, undefined, { ref: false })),
    listensInstead: (problem) => untilItListens(problem, context),
    listensYet: (file, label) => untilItListensOrNot(file, label, context),
  };
  try {
    const { app: reference, chdir } = plan.settings;
    const loaded = loadApp(reference, chdir, program).then(async (app) => {
      if (!plan.checkOnly) await context.readiness.untilReady();
      return app;
    });
    const exported = await Promise.race([loaded, failure.promise]);
    const server = standalone.capture.chooseAgain(); // it may have begun to listen in the meantime
    const app: App = server ? { kind: 'server', name: exported.name, server, closing: exported.closing } : exported;
    standalone.capture.settled(app.kind === 'server' ? app.server : undefined);
    return { app, hooks };
  } catch (error) {
    const fatal = error instanceof AppLoadError;
    const { reason } = describeError(error);
    const err = fatal && error.cause ? error.cause : error;
    log.logger.error({ err }, `the app failed to load: ${reason}`);
    await log.destination.close();
    const { stack } = describeError(err instanceof Error ? err : error);
    await channel.sendLast({ type: 'boot-failed', reason, stack, fatal });
    return fatal ? EXIT_CODES.app.status : EXIT_CODES.boot.status;
  }
}

/** Waits for the program to listen, as long as anything in it still can. */
async function untilItListens(problem: AppLoadError, { channel, log, standalone }: WorkerContext): Promise<void> {
  const hint = setTimeout(() => {
    log.logger.warn(`waiting for the app to call listen(), until TSUNICORN_BOOT_TIMEOUT: ${problem.message}`);
  }, HINT_AFTER_MS).unref();
  standalone.cluster.listenForPrimary();
  const alone = channel.alone(false);
  const left = watchWhatIsLeft();
  const nothingCan = Promise.race([alone.promise, left.promise]).then(() => {
    const sentence = problem.message.replace(/\.$/, '');
    throw (
      standalone.capture.unservable ??
      new AppLoadError(`${sentence}. Nor does it call listen()`, { cause: problem.cause })
    );
  });
  try {
    await Promise.race([standalone.capture.listening(), nothingCan]);
  } finally {
    alone.done();
    left.done();
    clearTimeout(hint);
  }
}

/** What Node.js calls handles that wait for clients, and lead to no call of `listen()`. */
const WAITS_FOR_CLIENTS = ['TCPServerWrap', 'UDPWrap', 'UDPWRAP', 'PipeServerWrap'];
/** stdout and stderr are listed too, where they are pipes or a terminal. */
const STREAMS = ['PipeWrap', 'TTYWrap'];
const LOOK_MS = 250;

/** Resolves when the program waits for nothing but clients of other protocols. `done` ends the watch. */
function watchWhatIsLeft(): { promise: Promise<void>; done: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  let before = false;
  const timer = setInterval(() => {
    const now = waitsForClients();
    if (before && now) resolve();
    before = now;
  }, LOOK_MS).unref();
  return { promise, done: () => clearInterval(timer) };
}

function waitsForClients(): boolean {
  const active = process.getActiveResourcesInfo();
  const { _getActiveHandles: handles } = process as { _getActiveHandles?: () => { readonly fd?: number }[] };
  const standard = handles?.().filter(({ fd }) => fd === 1 || fd === 2).length ?? 0;
  const clients = active.filter((name) => WAITS_FOR_CLIENTS.includes(name)).length;
  const streams = active.filter((name) => STREAMS.includes(name)).length;
  return clients > 0 && clients + streams === active.length && streams <= standard;
}

/**
 * A program that exports an app may listen with it later, once its database has answered, and does not serve before that
 * (docs/decisions/0019-late-listeners.md).
 */
async function untilItListensOrNot(file: string, label: string, context: WorkerContext): Promise<void> {
  const { plan, channel, log, standalone } = context;
  const wait = plan.checkOnly ? false : plan.settings.waitListen;
  const by = wait === 'auto' ? fileThatListens(file) : basename(file);
  if (wait === false || by === undefined) return;
  channel.send({ type: 'boot-progress', waitingFor: `listen() by ${by} (TSUNICORN_WAIT_LISTEN)` });
  const listening = standalone.capture.listening().then(() => true);
  const alone = channel.alone(false);
  const left = watchWhatIsLeft();
  const not = Promise.race([alone.promise, left.promise]).then(() => true);
  const late = wait === 'auto' ? [sleep(LONGEST_WAIT_FOR_LISTEN_MS, false, { ref: false })] : [];
  const known = await Promise.race([listening, not, ...late]);
  alone.done();
  left.done();
  if (known || plan.slot > 0) return;
  log.logger.warn(
    `serves the export of ${label}, though ${by} has a call of listen() or the like, which did not come within ${LONGEST_WAIT_FOR_LISTEN_MS / 1000} s: TSUNICORN_WAIT_LISTEN=true waits for it, false serves the export at once`,
  );
}
