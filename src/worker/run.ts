/** The process of a worker: gets its plan, prepares the process for the app, boots the app and serves it. */
import { EXIT_CODES, HaltServer } from '../errors.ts';
import { describeError, STACK_FD, type WorkerFailure } from '../messages.ts';
import { openServerLog } from '../observe/log/server-log.ts';
import { loadNative } from '../platform/native/native.ts';
import { SIGNALS } from '../platform/signals.ts';
import { boot } from './boot.ts';
import { Channel } from './channel.ts';
import { RequestContexts } from './http/request-context.ts';
import { Standalone } from './standalone/standalone.ts';
import { heapLimit, Worker } from './worker.ts';

/** When the arbiter has vanished, the kernel ends a drain this long after the graceful timeout. */
const ORPHAN_MARGIN_S = 5;

/** Runs one worker until it has drained. Resolves with its exit status. */
export async function runWorker(process: NodeJS.Process): Promise<number> {
  const channel = new Channel(process);
  try {
    return await serve(process, channel);
  } catch (error) {
    await channel.sendLast({ type: 'boot-failed', ...failureOf(error) }); // people read the arbiter's log, not stderr
    throw error;
  }
}

function failureOf(error: unknown): WorkerFailure {
  const isConfig = error instanceof HaltServer && error.status === EXIT_CODES.config.status;
  return { ...describeError(error), fatal: isConfig, ...(isConfig && { exit: 'config' }) };
}

async function serve(process: NodeJS.Process, channel: Channel): Promise<number> {
  const arbiter = process.ppid; // read before the plan, which only a live arbiter sends: it is no successor's pid
  const { native } = loadNative();
  const plan = await channel.plan({
    stacks: native !== undefined && native.reportStacks(STACK_FD) === undefined,
    outOfMemory: native !== undefined && native.reportOutOfMemory(STACK_FD) === undefined,
  });
  const { settings, slot, workerId, started } = plan;
  native?.dieWithParent(arbiter, Math.ceil(settings.gracefulTimeout) + ORPHAN_MARGIN_S);
  const log = openServerLog(settings, { pid: process.pid, worker: slot, workerId }, started);
  // Its deferred signals come first; the others have no effect, unless the app gives them one.
  const standalone = new Standalone(process, {
    port: process.env.PORT,
    ports: plan.ports,
    checkOnly: plan.checkOnly,
    warn: (message) => slot === 0 && log.logger.warn(message), // once per server
  });
  for (const signal of SIGNALS) if (process.listenerCount(signal) === 0) process.on(signal, () => {});
  try {
    const contexts = new RequestContexts();
    contexts.offer();
    const booted = await boot(plan, channel, log, standalone);
    if (typeof booted === 'number') return booted;
    if (!process.connected) return EXIT_CODES.failure.status; // the arbiter vanished while the app was loading
    if (plan.checkOnly) {
      await channel.sendLast({ type: 'ready', app: booted.app.name, heapSizeLimitBytes: heapLimit() });
      return EXIT_CODES.ok.status;
    }
    const worker = new Worker(plan, booted, channel, log, { standalone, contexts, native });
    channel.gone = () => worker.drain(false);
    standalone.actions = worker;
    return await worker.run();
  } finally {
    standalone.exit.restore();
  }
}
