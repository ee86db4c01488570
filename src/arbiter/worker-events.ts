/** What workers say and how they end: told to the pool, the metrics, the log and `/status`. */
import { HaltServer } from '../errors.ts';
import { type FromWorker, WELCOME_APP } from '../messages.ts';
import { FAILURES } from '../observe/metrics/table.ts';
import { MIB, mib } from '../platform/bytes.ts';
import { OomKills } from '../platform/kernel/usage.ts';
import { SIGNALS } from '../platform/signals.ts';
import type { ArbiterContext } from './context.ts';
import type { WorkerExit } from './exit-history.ts';
import { holdsClients, subjectOf, type WorkerProcess, type WorkerProcessListener } from './worker-process.ts';

export class WorkerEvents implements WorkerProcessListener {
  readonly #context: ArbiterContext;
  readonly #oomKills = new OomKills();

  constructor(context: ArbiterContext) {
    this.#context = context;
  }

  message(worker: WorkerProcess, message: FromWorker): void {
    const what = `message ${message.type} of worker ${worker.workerId}`;
    this.#context.enqueue(what, () => this.#message(worker, message));
  }

  forged(worker: WorkerProcess, fault: string): void {
    this.#context.enqueue(`forged message of worker ${worker.workerId}`, () => this.#forged(worker, fault));
  }

  exit(worker: WorkerProcess): void {
    this.#context.enqueue(`exit of worker ${worker.workerId}`, () => {
      try {
        this.#exited(worker);
      } finally {
        const unexplained = { why: 'its exit could not be handled', fatal: false };
        this.#context.pool.exited(worker.workerId, unexplained, performance.now()); // nothing, if the pool knows
      }
    });
  }

  /** Now and then, so that kills of other processes in the group do not explain a worker's death much later. */
  countOomKills(): void {
    this.#oomKills.look(performance.now());
  }

  #forged(worker: WorkerProcess, fault: string): void {
    const { log } = this.#context;
    const what = `sent a message that no worker sends (${fault})`;
    log.error(subjectOf(worker), `worker ${what}${FORGED}`);
    const { problem } = worker.kill(`it ${what}`);
    if (problem !== undefined) log.error(subjectOf(worker), problem);
  }

  #message(worker: WorkerProcess, message: FromWorker): void {
    const { pool, listeners, metrics, log, settings } = this.#context;
    const now = performance.now();
    const { workerId } = worker;
    // Reports do not prove that the time for a request is not over (worker class sync); all other messages do.
    if (message.type !== 'report' && message.type !== 'app-report') {
      pool.heartbeat(workerId, now, worker.cpuWait?.take(now));
    }
    switch (message.type) {
      case 'boot-progress':
        return pool.waits(workerId, message.waitingFor);
      case 'ready':
        pool.ready(workerId, now);
        this.#letAccept(worker.slot);
        log.info(subjectOf(worker), `worker is ready with ${message.app}`);
        if (message.app === WELCOME_APP && workerId === 1) log.warn(NO_APP(settings.chdir));
        return;
      case 'memory-full':
        return pool.memoryFull(workerId, message);
      case 'heartbeat':
      case 'report':
        // Serial 0, of a new worker: its state before the first request.
        if (message.type === 'heartbeat' || message.serial === 0) pool.report(workerId, message.report);
        return metrics.received(worker, message);
      case 'app-report':
        return metrics.received(worker, message);
      case 'replace-me':
        if (!pool.stopping) log.info(subjectOf(worker), `worker ${message.why} and will be replaced`);
        return pool.leave(workerId);
      case 'app-ready':
        if (pool.setReady(workerId, message.ready))
          log.info(subjectOf(worker), message.ready ? READY_AGAIN : NOT_READY);
        return;
      case 'seek-lead':
        return pool.seekLead(workerId);
      case 'resign':
        log.info(subjectOf(worker), 'worker does not lead any more');
        return pool.resign(workerId);
      case 'crashing':
        worker.failure = { ...message, fatal: false };
        return pool.crashing(workerId, message.reason, now);
      case 'boot-failed':
        worker.failure = message;
        return;
      case 'has-long-polls':
        worker.hasLongPolls = true;
        return log.debug(
          subjectOf(worker),
          'clients of the worker wait in long polls: its successor will accept after it',
        );
      case 'stopped-accepting':
        worker.stoppedAccepting = true;
        return this.#letAccept(worker.slot);
      case 'need-descriptor': {
        const listener = listeners.get(message.key);
        return listener && worker.lend(listener, false);
      }
      case 'took-over': {
        const listener = listeners.get(message.key);
        if (!listener) return;
        const { slot = worker.slot } = listener;
        worker.tookOver.add(message.key);
        if (!listeners.acceptedBy(worker, slot).every(({ key }) => worker.tookOver.has(key))) return;
        return pool.tookOver(workerId, slot);
      }
      case 'hello':
        return;
      default:
        return message satisfies never;
    }
  }

  /** Tells the successors that are ready, once nobody in the slot accepts whom they wait for. */
  #letAccept(slot: number): void {
    const { workers } = this.#context;
    if (holdsClients(workers, slot)) return;
    for (const w of workers.values()) {
      if (w.slot !== slot || !w.waitsToAccept || w.heapSizeLimitBytes === undefined) continue;
      w.waitsToAccept = false;
      w.send({ type: 'accept' });
    }
  }

  #exited(worker: WorkerProcess): void {
    const { pool, workers, relay, metrics, history, log } = this.#context;
    const now = performance.now();
    const oomKilled = worker.signal === 'SIGKILL' && this.#oomKills.explains(now);
    const exit = explainExit(worker, oomKilled, metrics.store.latest(worker.workerId)?.heapUsedBytes);
    const startedAt = pool.workers.find(({ workerId }) => workerId === worker.workerId)?.startedAt ?? now;
    // Before all else: a worker whose exit the pool does not know of is never replaced.
    const reason = pool.exited(worker.workerId, { ...exit, oom: exit.cause === 'oom' }, now);
    workers.delete(worker.workerId);
    this.#letAccept(worker.slot);
    relay.gone(worker.workerId);
    metrics.gone(worker);
    history.add(exit, { reason, seconds: (now - startedAt) / 1000, date: new Date() });
    if (reason) metrics.store.restarted(reason);
    const level = FAILURES.some((failure) => failure === reason) ? 'error' : 'info';
    const shown = reason === 'crash' || reason === 'boot' ? (exit.cause ?? reason) : reason;
    log[level]({ ...subjectOf(worker), ...(shown && { reason: shown }) }, `worker ended: ${exit.how}`);
  }
}

type Evidence = Pick<WorkerExit, 'slot' | 'workerId' | 'pid'> &
  Pick<WorkerProcess, 'code' | 'signal' | 'spawnError' | 'saidHello' | 'failure' | 'killReason' | 'stackAtKill'> &
  Pick<WorkerProcess, 'outOfMemory' | 'reportsOutOfMemory' | 'heapLimitBytes'>;

/**
 * Pure. `oomKilled`: the kernel counted a kill for lack of memory. `heapUsedBytes`: by the last report; undefined
 * without one.
 */
export function explainExit(worker: Evidence, oomKilled: boolean, heapUsedBytes = 0): WorkerExit {
  const { slot, workerId, pid, saidHello, signal, failure, killReason } = worker;
  const interrupted = !saidHello && killReason === undefined && SIGNALS.some((name) => name === signal);
  const { cause, how } = interrupted
    ? { cause: undefined, how: `${signal}${TOO_EARLY}` }
    : causeOf(worker, oomKilled, heapUsedBytes);
  const badDirectory = worker.spawnError instanceof HaltServer;
  const message = failure?.reason ?? (!saidHello && worker.code ? `${how}${NO_HELLO}` : undefined);
  return {
    slot,
    workerId,
    pid,
    how,
    cause,
    why: message ?? how,
    fatal: failure?.fatal ?? badDirectory,
    exit: badDirectory ? 'config' : failure?.exit,
    interrupted,
    message: message ?? killReason,
    stack: failure?.stack ?? worker.stackAtKill,
  };
}

/** A heap that filled up may have been this empty in its last report, a second before: the rest is a guess. */
const NEARLY_FULL = 0.5;
/** Where V8 chose the limit itself, it is 2 to 4 GiB on most machines. */
const UNKNOWN_LIMIT_BYTES = 2048 * MIB;

function causeOf(worker: Evidence, oomKilled: boolean, heapUsedBytes: number): Pick<WorkerExit, 'cause' | 'how'> {
  const { code, signal, spawnError, killReason, outOfMemory, reportsOutOfMemory, heapLimitBytes } = worker;
  const how = spawnError?.message ?? signal ?? `exit code ${code}`;
  const unknown = (why: string): Pick<WorkerExit, 'cause' | 'how'> => ({ cause: undefined, how: `${how}${why}` });
  if (signal === 'SIGKILL' && killReason === undefined && oomKilled) return { cause: 'oom', how: `${how}, ${OOM}` };
  const limit = heapLimitBytes === undefined ? 'what V8 allows' : mib(heapLimitBytes);
  const seen = `${mib(heapUsedBytes)} of ${limit} when it last reported`;
  if (outOfMemory?.of === 'heap') {
    return { cause: 'heap', how: `${how}, as its JavaScript heap was full (${outOfMemory.where}; ${seen}). ${HEAP}` };
  }
  if (outOfMemory) return unknown(`, as the system gave V8 no more memory (${outOfMemory.where}). ${PROCESS}`);
  if (signal !== 'SIGABRT') return unknown('');
  if (reportsOutOfMemory) return unknown(`, ${ABORTED}`);
  // Node.js 22, 24 and 26 end like this after "FATAL ERROR: … JavaScript heap out of memory" on stderr.
  if (heapUsedBytes < NEARLY_FULL * (heapLimitBytes ?? UNKNOWN_LIMIT_BYTES)) return unknown(`, ${ABORTED_SOMEHOW}`);
  return { cause: 'heap', how: `${how}, probably as its JavaScript heap was full (${seen}). ${HEAP}` };
}

const NOT_READY = 'worker is not ready, says its app: new connections go to other workers, if any is ready';
const READY_AGAIN = 'worker is ready again, says its app';

/** Node.js did not start: a flag that it does not know, a preload that throws. */
const NO_HELLO = ' before it could say why: see stderr';
const FORGED = ': the app must not process.send() an object with the key tsunicorn; worker will be killed';
const TOO_EARLY = ' before it had handlers; another one boots';
const OOM =
  'from the kernel, as the memory limit was reached: raise the limit, or set a lower TSUNICORN_WORKERS or TSUNICORN_MAX_WORKER_RSS';
const HEAP = 'Raise TSUNICORN_WORKER_HEAP or the memory limit, or look for a leak';
const PROCESS = 'Raise the limit of its address space (ulimit -v) or of the system (vm.overcommit_memory)';
const ABORTED = 'not for lack of heap: a check in Node.js or in native code failed, and stderr says which';
const ABORTED_SOMEHOW =
  'as Node.js does when its heap is full: stderr says so then, and TSUNICORN_WORKER_HEAP raises it';

const NO_APP = (directory: string): string =>
  `no app is configured and none was found in ${directory}: serving the built-in welcome app. Set TSUNICORN_APP, for example TSUNICORN_APP=dist/app.js`;
