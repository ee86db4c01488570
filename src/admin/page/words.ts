/** Numbers, times and sentences for people. null is shown as a dash. Pure. */
import type { SizingStatus, Status } from '../status.ts';

export const NONE = '–';

const MIB = 2 ** 20;

/** `0.25`, `3.4`, `71.5`, `1,250`. */
export function number(value: number | null): string {
  if (value === null || !Number.isFinite(value)) return NONE;
  const digits = Math.abs(value) >= 100 || Number.isInteger(value) ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString('en-US', { maximumFractionDigits: digits });
}

/** @param ratio 0 to 1 */
export function percent(ratio: number | null): string {
  if (ratio === null || !Number.isFinite(ratio)) return NONE;
  const value = ratio * 100;
  return `${value.toFixed(value > 0 && value < 9.95 ? 1 : 0)} %`;
}

/** `0.4 ms`, `12 ms`, `1.5 s`. */
export function duration(seconds: number | null): string {
  if (seconds === null || !Number.isFinite(seconds)) return NONE;
  const [value, unit] = seconds < 1 ? [seconds * 1000, 'ms'] : [seconds, 's'];
  return `${value.toLocaleString('en-US', { maximumFractionDigits: value < 10 ? 1 : 0 })} ${unit}`;
}

/** The two largest units: `42 s`, `3 min 5 s`, `2 d 7 h`. */
export function span(seconds: number): string {
  const [d, h, min, s] = [seconds / 86_400, (seconds / 3_600) % 24, (seconds / 60) % 60, seconds % 60].map(Math.floor);
  if (d) return h ? `${d} d ${h} h` : `${d} d`;
  if (h) return min ? `${h} h ${min} min` : `${h} h`;
  if (min) return s ? `${min} min ${s} s` : `${min} min`;
  return `${s} s`;
}

/** `94 MiB`, `1.5 GiB`. */
export function bytes(value: number | null): string {
  if (value === null || !Number.isFinite(value)) return NONE;
  const mib = Math.round(value / MIB);
  return mib >= 1024 ? `${number(mib / 1024)} GiB` : `${mib} MiB`;
}

/** `94 of 224 MiB`. */
export function bytesOf(part: number | null, whole: number | null): string {
  if (part === null) return NONE;
  const [a, b] = [bytes(part), bytes(whole)];
  const unit = b.slice(b.indexOf(' '));
  return `${a.endsWith(unit) ? a.slice(0, -unit.length) : a} of ${b}`;
}

export function plural(count: number, noun: string): string {
  return `${number(count)} ${noun}${count === 1 ? '' : 's'}`;
}

export function roundUp(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * ([1, 1.5, 2, 3, 4, 5, 6, 8].find((step) => step * power >= value * 0.999_999) ?? 10);
}

export function sizingInWords({ sizing, settings }: Pick<Status, 'sizing' | 'settings'>): string[] {
  const { workers, signalled, byCpus, byMemory, limits, heapBytes } = sizing;
  const heap = heapBytes === null ? 'The heap limit is left to V8.' : `Each may have ${bytes(heapBytes)} of old space.`;
  if (signalled) return [`A signal set the number to ${number(workers)}.`, heap];
  if (settings.TSUNICORN_WORKERS?.origin !== 'cgroup') {
    return [`TSUNICORN_WORKERS asks for ${plural(workers, 'worker')}, whatever the limits are.`, heap];
  }
  return [
    `${plural(sizing.cpus, 'core')} may be used (${decidedBy(sizing)}), which ${sizing.cpus === 1 ? 'asks' : 'ask'} for ${plural(byCpus, 'worker')}.`,
    byMemory === null
      ? 'There is no memory limit to fit.'
      : `The memory limit of ${bytes(limits.memoryBytes)} holds ${number(byMemory)}.`,
    `There may be ${number(sizing.minWorkers)} or more${sizing.maxWorkers === null ? '' : `, and at most ${number(sizing.maxWorkers)}`}.`,
    `So ${workers === 1 ? 'there is' : 'there are'} ${plural(workers, 'worker')}.`,
    heap,
  ];
}

function decidedBy({ cpus, limits }: SizingStatus): string {
  if (limits.quotaCores === cpus) return 'the CPU quota';
  if (limits.cpusetCpus === cpus) return 'the cpuset';
  if (limits.affinityCpus === cpus) return 'the affinity of the process';
  return 'all that are online';
}

export function changesInWords(before: Status, after: Status): string[] {
  const changes: string[] = [];
  if (before.readiness.ready !== after.readiness.ready) {
    changes.push(`${after.readiness.ready ? 'Ready' : 'Not ready'}: ${after.readiness.reason}.`);
  }
  const known = new Set(before.exits.map(({ workerId }) => workerId));
  const ended = after.exits.filter(({ workerId }) => !known.has(workerId));
  if (ended.length > 1) return [...changes, `${ended.length} workers ended.`];
  for (const { slot, reason, how } of ended) {
    changes.push(`The worker of slot ${slot} ended: ${reason === null ? '' : `${reason.replace('_', ' ')}, `}${how}.`);
  }
  return changes;
}
