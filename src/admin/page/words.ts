/** The page's sentences. Pure. */
import type { SizingStatus, Status, WorkerExitStatus } from '../status.ts';
import { bytes, number, plural } from './format.ts';

/** From the inputs to the decision. */
export function sizingInWords({ sizing, settings }: Pick<Status, 'sizing' | 'settings'>): string[] {
  const { workers, target, byCpus, byMemory, limits, heapBytes } = sizing;
  const given = settings.TSUNICORN_WORKERS?.origin !== 'cgroup';
  const decision = given
    ? [`TSUNICORN_WORKERS asks for ${plural(workers, 'worker')}, whatever the limits are.`]
    : [
        `${plural(sizing.cpus, 'core')} may be used (${decidedBy(sizing)}), which ${sizing.cpus === 1 ? 'asks' : 'ask'} for ${plural(byCpus, 'worker')}.`,
        byMemory === null
          ? 'There is no memory limit to fit.'
          : `The memory limit of ${bytes(limits.memoryBytes)} holds ${number(byMemory)}.`,
        `There may be ${number(sizing.minWorkers)} or more${sizing.maxWorkers === null ? '' : `, and at most ${number(sizing.maxWorkers)}`}.`,
        `So ${workers === 1 ? 'there is' : 'there are'} ${plural(workers, 'worker')}.`,
      ];
  const heap = heapBytes === null ? 'The heap limit is left to V8.' : `Each may have ${bytes(heapBytes)} of old space.`;
  const signalled = target === workers ? [] : [`A signal has since made it ${plural(target, 'worker')}.`];
  return [...decision, heap, ...signalled];
}

function decidedBy({ cpus, limits }: SizingStatus): string {
  if (limits.quotaCores === cpus) return 'the CPU quota';
  if (limits.cpusetCpus === cpus) return 'the cpuset';
  if (limits.affinityCpus === cpus) return 'the affinity of the process';
  return 'all that are online';
}

function exitInWords({ slot, reason, how }: WorkerExitStatus): string {
  return `The worker of slot ${slot} ended: ${reason === null ? '' : `${reason.replace('_', ' ')}, `}${how}`;
}

/** What screen readers announce. */
export function changesInWords(before: Status, after: Status): string[] {
  const changes: string[] = [];
  if (before.readiness.ready !== after.readiness.ready) {
    changes.push(`${after.readiness.ready ? 'Ready' : 'Not ready'}: ${after.readiness.reason}.`);
  }
  const known = new Set(before.exits.map(({ workerId }) => workerId));
  const ended = after.exits.filter(({ workerId }) => !known.has(workerId));
  const [first] = ended;
  if (first) changes.push(ended.length === 1 ? `${exitInWords(first)}.` : `${ended.length} workers ended.`);
  return changes;
}
