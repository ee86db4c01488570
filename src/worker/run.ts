/** The process of a worker: gets its plan, prepares the process for the app, boots the app and serves it. */
import { isAbsolute } from 'node:path';
import { EXIT_CODES, HaltServer } from '../errors.ts';
import { describeError, RELAY_FD, STACK_FD } from '../messages.ts';
import { openServerLog } from '../observe/log/server-log.ts';
import { directoryProblem } from '../platform/directory.ts';
import { TOPICS } from '../platform/frames.ts';
import { loadNative } from '../platform/native/native.ts';
import { NO_DEBUGGER } from '../platform/signals.ts';
import { setWorkerHook } from '../worker-hook.ts';
import { boot } from './boot.ts';
import { Channel } from './channel.ts';
import { RequestContexts } from './http/request-context.ts';
import { LeaderJobs } from './leader.ts';
import { Mailbox } from './mailbox.ts';
import { ProcessEvents } from './process-events.ts';
import { Readiness } from './readiness.ts';
import { Standalone } from './standalone/standalone.ts';
import { Worker } from './worker.ts';

/** When the arbiter has vanished, the kernel ends a drain this long after the graceful timeout. */
const ORPHAN_MARGIN_S = 5;

/** Runs one worker until it has drained. Resolves with its exit status. */
export async function runWorker(process: NodeJS.Process, restoreSignals: () => void): Promise<number> {
  process.execArgv = process.execArgv.filter((flag) => flag !== NO_DEBUGGER); // the app's processes have their own
  const events = new ProcessEvents(process);
  const channel = new Channel(process, events);
  try {
    return await serve(process, events, channel, restoreSignals);
  } catch (error) {
    const fatal = error instanceof HaltServer && error.status === EXIT_CODES.config.status;
    const failure = { ...describeError(error), fatal, ...(fatal && { exit: 'config' as const }) };
    await channel.sendLast({ type: 'boot-failed', ...failure }); // people read the arbiter's log, not stderr
    throw error;
  }
}

async function serve(
  process: NodeJS.Process,
  events: ProcessEvents,
  channel: Channel,
  restoreSignals: () => void,
): Promise<number> {
  const arbiter = process.ppid; // read before the plan, which only a live arbiter sends: it is no successor's pid
  const { native } = loadNative();
  const plan = await channel.plan({
    stacks: native !== undefined && native.reportStacks(STACK_FD) === undefined,
    outOfMemory: native !== undefined && native.reportOutOfMemory(STACK_FD) === undefined,
  });
  const { settings, slot, workerId, started } = plan;
  native?.dieWithParent(arbiter, Math.ceil(settings.gracefulTimeout) + ORPHAN_MARGIN_S);
  const log = openServerLog(settings, { pid: process.pid, worker: slot, workerId }, started);
  // The arbiter has entered it for this process, but a relative path of the app does not lead through it.
  const enters = settings.user === undefined || isAbsolute(settings.app ?? '');
  const problem = enters ? undefined : directoryProblem(settings.chdir, settings.user);
  if (problem) throw problem;
  const once = slot === 0 && !started;
  const mailbox = new Mailbox(plan.checkOnly ? undefined : RELAY_FD);
  // Its deferred signals come first; the others have no effect, unless the app gives them one.
  const standalone = new Standalone(process, events, {
    port: process.env.PORT,
    ports: plan.ports,
    adminPort: settings.adminBind?.kind === 'tcp' ? settings.adminBind.port : undefined,
    checkOnly: plan.checkOnly,
    bindIsGiven: plan.given.includes('bind'),
    warnHere: (message) => log.logger.warn(message),
    warn: (message) => slot === 0 && log.logger.warn(message), // once per server
    cluster: {
      slot,
      workerId,
      mail: mailbox,
      isSticky: settings.sticky !== 'off',
      appMetrics: settings.appMetrics,
      say: (message) => once && log.logger.info(message),
    },
  });
  events.keepSignals(restoreSignals);
  try {
    const leader = new LeaderJobs(channel);
    const readiness = new Readiness(channel);
    if (settings.waitReady) readiness.set(false);
    setWorkerHook({
      broadcast: (message) => mailbox.send(TOPICS.app, message),
      onMessage: (handler) => mailbox.on(TOPICS.app, handler),
      onLeader: (job) => leader.add(job),
      setReady: (ready) => readiness.set(ready),
    });
    const context = {
      plan,
      events,
      channel,
      mailbox,
      leader,
      readiness,
      log,
      standalone,
      native,
      requests: new RequestContexts(),
    };
    const booted = await boot(context);
    if (typeof booted === 'number') return booted;
    standalone.cluster.booted();
    if (!process.connected) return EXIT_CODES.failure.status; // the arbiter vanished while the app was loading
    const heapSizeLimitBytes = process.getBuiltinModule('node:v8').getHeapStatistics().heap_size_limit;
    const ready = { type: 'ready', app: booted.app.name, heapSizeLimitBytes } as const;
    if (plan.checkOnly) {
      await channel.sendLast(ready);
      return EXIT_CODES.ok.status;
    }
    const worker = new Worker(context, booted);
    channel.gone = () => worker.drain(false);
    standalone.actions = worker;
    return await worker.run(() => channel.send(ready));
  } finally {
    standalone.exit.restore();
  }
}
