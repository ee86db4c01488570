/** The process of a worker: gets its plan, prepares for whatever the app does, boots it, and has it served. */
import { EXIT_CODES, HaltServer } from '../errors.ts';
import { type LastWords, STACK_FD } from '../messages.ts';
import { openServerLog } from '../observe/log/server-log.ts';
import { loadNative } from '../platform/native/native.ts';
import { NO_DEBUGGER } from '../platform/signals.ts';
import { boot } from './boot.ts';
import { Channel } from './channel.ts';
import { RequestContexts } from './http/request-context.ts';
import { prepareStandalone } from './standalone/standalone.ts';
import { heapLimit, Worker } from './worker.ts';

/** When the arbiter has vanished: what a drain may take beyond the graceful timeout before the kernel ends it. */
const ORPHAN_MARGIN_S = 5;

/** Runs one worker until it has drained. Resolves with its exit status. */
export async function runWorker(process: NodeJS.Process, restoreSignals: () => void): Promise<number> {
  process.execArgv = process.execArgv.filter((flag) => flag !== NO_DEBUGGER); // the app's processes have their own
  let orphaned = (): void => {};
  const channel = new Channel(process, () => orphaned());
  try {
    return await serve(process, channel, restoreSignals, (worker) => {
      orphaned = () => worker.drain(false);
    });
  } catch (error) {
    await channel.sendLast({ type: 'boot-failed', ...wordsOf(error) }); // stderr alone is not where people look
    throw error;
  }
}

function wordsOf(error: unknown): LastWords {
  if (!(error instanceof Error)) return { reason: String(error), stack: undefined, fatal: false };
  const { message: reason, stack } = error;
  const isConfig = error instanceof HaltServer && error.status === EXIT_CODES.config.status;
  return { reason, stack, fatal: isConfig, ...(isConfig && { exit: 'config' }) };
}

async function serve(
  process: NodeJS.Process,
  channel: Channel,
  restoreSignals: () => void,
  made: (worker: Worker) => void,
): Promise<number> {
  const arbiter = process.ppid; // before the plan, which only a live arbiter sends: it cannot be its successor's
  const { native } = loadNative();
  const plan = await channel.plan({
    stacks: native !== undefined && native.reportStacks(STACK_FD) === undefined,
    outOfMemory: native !== undefined && native.reportOutOfMemory(STACK_FD) === undefined,
  });
  const { settings, slot, workerId, started } = plan;
  native?.dieWithParent(arbiter, Math.ceil(settings.gracefulTimeout) + ORPHAN_MARGIN_S);
  const log = openServerLog(settings, { pid: process.pid, worker: slot, workerId }, started);
  // Held signals come first: the others have no effect, unless the app gives them one.
  const unmodified = prepareStandalone(process, {
    ports: plan.ports,
    checkOnly: plan.checkOnly,
    warn: (message) => slot === 0 && log.logger.warn(message), // once is enough
  });
  restoreSignals();
  try {
    const contexts = new RequestContexts();
    contexts.offer();
    const booted = await boot(plan, channel, log, unmodified);
    if (typeof booted === 'number') return booted;
    if (!process.connected) return EXIT_CODES.failure.status; // the arbiter went while the app was loading
    if (plan.checkOnly) {
      await channel.sendLast({ type: 'ready', app: booted.app.name, heapSizeLimitBytes: heapLimit() });
      return EXIT_CODES.ok.status;
    }
    const worker = new Worker(plan, booted, channel, log, { unmodified, contexts, native });
    made(worker);
    unmodified.tell(worker);
    return await worker.run();
  } finally {
    unmodified.door.restore();
  }
}
