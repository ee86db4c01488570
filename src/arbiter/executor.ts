/** Performs what the pool decided. */
import { HaltServer } from '../errors.ts';
import { NOTIFY_VARIABLES } from '../platform/notify.ts';
import { type Identity, identityOf } from '../platform/users.ts';
import type { ArbiterContext } from './context.ts';
import type { Decision } from './pool/decisions.ts';
import { holdsClients, subjectOf, WorkerProcess, type WorkerProcessListener } from './worker-process.ts';

/** For the stack of a stuck worker: a millisecond, or more without CPU, which may be why the worker is late. */
const STACK_MS = 1_000;
/** In a stop, whose time is over. */
const STACK_AT_STOP_MS = 100;

export class Executor {
  readonly #context: ArbiterContext;
  readonly #events: WorkerProcessListener;
  readonly #identity: Identity;
  readonly #workerEnv: NodeJS.ProcessEnv;

  constructor(context: ArbiterContext, events: WorkerProcessListener) {
    const { settings, process } = context;
    this.#context = context;
    this.#events = events;
    this.#identity = identityOf(settings.user, settings.group);
    const { LISTEN_FDS: _fds, LISTEN_PID: _pid, LISTEN_FDNAMES: _names, ...env } = process.env;
    for (const name of NOTIFY_VARIABLES) delete env[name];
    this.#workerEnv = env;
  }

  /** Throws HaltServer at the end. */
  async perform(decision: Decision): Promise<void> {
    const { log, listeners, workers, pool, enqueue, failed } = this.#context;
    const accepted = (by: WorkerProcess, slot: number) => listeners.acceptedBy(by, slot);
    if (decision.do === 'spawn') return await this.#spawn(decision);
    if (decision.do === 'halt') throw new HaltServer(decision.why, decision.exit);
    if (decision.do === 'warn') return log.warn(decision.why);
    if (decision.do === 'release-holds') {
      for (const worker of workers.values()) worker.send({ type: 'release-hold' });
      return;
    }
    if (decision.do === 'release-listeners') return listeners.release();
    if (decision.do === 'give-up-reload') {
      return log.error(`the reload is given up; the old workers go on serving: ${decision.why}`);
    }
    const worker = workers.get(decision.workerId);
    if (!worker) return;
    const subject = subjectOf(worker);
    switch (decision.do) {
      case 'close-connections':
        return worker.send({ type: 'close-connections' });
      case 'collect-garbage':
        log.debug(subject, 'worker collects garbage');
        return worker.send({ type: 'collect-garbage' });
      case 'lead':
        log.info(subject, 'worker leads');
        return worker.send({ type: 'lead' });
      case 'recycle':
        return log[decision.soon ? 'warn' : 'info'](subject, `worker will be replaced: ${decision.why}`);
      case 'drain': {
        log.info(subject, `worker drains: ${decision.why}`);
        const { quick, drainQueue, by } = decision;
        return worker.send({ type: 'drain', quick, leftMs: by - performance.now(), drainQueue });
      }
      case 'kill':
        // Not awaited: other workers have deadlines too.
        this.#kill(worker, decision.why, decision.stuck).catch((error) => failed('killing a worker', error));
        return;
      case 'take-over':
        for (const listener of accepted(worker, decision.slot)) worker.lend(listener, true);
        // It has only shared sockets, so nothing will come from the worker.
        if (accepted(worker, decision.slot).length === 0) {
          enqueue('takeover', () => pool.tookOver(decision.workerId, decision.slot));
        }
        return;
      case 'hand-back':
        for (const { key } of accepted(worker, decision.slot)) {
          worker.tookOver.delete(key);
          worker.send({ type: 'hand-back', key });
        }
        return;
      default:
        return decision satisfies never;
    }
  }

  /** A stuck worker is asked for its stack first, while it lives. */
  async #kill(worker: WorkerProcess, why: string, stuck: boolean): Promise<void> {
    const { metrics, pool, log } = this.#context;
    const inFlight = metrics.store.latest(worker.workerId)?.inFlight ?? 0;
    let activity: Awaited<ReturnType<WorkerProcess['activity']>> = {};
    try {
      if (stuck) activity = await worker.activity(pool.stopping ? STACK_AT_STOP_MS : STACK_MS);
      worker.stackAtKill = activity.stack;
    } finally {
      const { sent, problem } = worker.kill(why);
      const subject = { ...subjectOf(worker), inFlight, ...activity };
      if (sent) log.warn(subject, `worker is killed: ${why}`);
      else if (problem !== undefined) log.error(subject, problem);
    }
  }

  async #spawn({ workerId, slot }: { readonly workerId: number; readonly slot: number }): Promise<void> {
    const { settings, given, sizer, pool, listeners, workers, relay, log, native, failed } = this.#context;
    try {
      await listeners.ensureSlots(slot + 1);
      const options = {
        slot,
        workerId,
        generation: pool.generation,
        settings,
        given: given(),
        ports: listeners.ports,
        listeners: listeners.of(slot),
        memory: sizer.memoryGroup,
        heapBytes: sizer.inForce.heapBytes,
        started: pool.serviceState !== 'starting',
        waitsToAccept: holdsClients(workers, slot),
        checkOnly: false,
        env: this.#workerEnv,
        identity: this.#identity,
        stackSignal: native.native?.stackSignal,
      };
      const worker = new WorkerProcess(options, this.#events);
      workers.set(workerId, worker);
      relay.add(worker);
      log.debug(subjectOf(worker), 'worker boots');
    } catch (error) {
      // No socket for the slot: make do with fewer workers. Anything else is a failed boot.
      const { message } = error as Error;
      if (error instanceof HaltServer) {
        log.error(`no further worker: ${message}`);
        pool.resize(slot);
      } else failed(`spawning worker ${workerId}`, error);
      pool.exited(workerId, { why: message, fatal: false }, performance.now());
    }
  }
}
