/**
 * What `/status` answers, as JSON; the page at `/` shows the same. Declared here alone: the arbiter builds it, the page
 * reads it. It imports nothing, since one of the two is a browser.
 *
 * Moments are ISO 8601 in UTC, durations seconds, sizes bytes. Counters count from the start of the arbiter and never
 * fall. null is what is not known: not measured yet, or not there on this machine.
 */
export interface Status {
  readonly time: string;
  /** The arbiter's. */
  readonly pid: number;
  /** Since the arbiter started, by a clock that nobody sets: the base of every rate. */
  readonly seconds: number;
  readonly versions: { readonly tsunicorn: string; readonly node: string };
  /** As `/readyz` has it. */
  readonly readiness: { readonly ready: boolean; readonly reason: string };
  /** Where it serves, as in the log: `http://0.0.0.0:8000`. */
  readonly listeners: readonly string[];
  readonly sizing: SizingStatus;
  /** By slot; of a slot whose worker is being replaced the older first. */
  readonly workers: readonly WorkerStatus[];
  /** The last ends of workers, newest first. */
  readonly exits: readonly ExitStatus[];
  readonly totals: TotalsStatus;
  readonly cgroup: CgroupStatus;
  /** Every setting by its variable, as `tsunicorn config --json` has it: secrets are redacted. */
  readonly settings: Readonly<Record<string, SettingStatus>>;
}

export interface SizingStatus {
  /** What was decided. */
  readonly workers: number;
  /** What is aimed at now: differs from `workers` after TTIN or TTOU. */
  readonly target: number;
  /** The decision and all its inputs in one line, as in the log. */
  readonly why: string;
  /** What is wrong with the limits, and how to mend it. */
  readonly warning: string | null;
  /** Cores that may be used, fractional: the smallest of quota, cpuset and affinity. */
  readonly cpus: number;
  /** Workers that the CPUs ask for. */
  readonly byCpus: number;
  /** Workers that fit the memory limit. */
  readonly byMemory: number | null;
  readonly minWorkers: number;
  readonly maxWorkers: number | null;
  /** V8 old space for each worker; null leaves it to V8. */
  readonly heapBytes: number | null;
  readonly limits: {
    readonly cgroup: string;
    readonly quotaCores: number | null;
    readonly cpusetCpus: number | null;
    readonly affinityCpus: number | null;
    readonly onlineCpus: number;
    readonly memoryBytes: number | null;
    /** The files that decided: `quota`, `cpuset`, `memory`. */
    readonly sources: Readonly<Record<string, string>>;
  };
}

export interface WorkerStatus {
  readonly slot: number;
  readonly workerId: number;
  /** `leaving` serves until its replacement is ready. */
  readonly state: 'booting' | 'ready' | 'leaving' | 'draining';
  /** Since it was started. */
  readonly seconds: number;
  readonly pid: number | null;
  readonly inFlight: number | null;
  readonly connections: number | null;
  /** Answered since it was started. */
  readonly requests: number;
  /** What timers are late by in this worker's event loop: the 99th percentile since its last report but one. */
  readonly eventLoopLag: number | null;
  /** The share of time that the event loop was busy, 0 to 1. */
  readonly eventLoopUtilization: number | null;
  readonly residentBytes: number | null;
  readonly heapUsedBytes: number | null;
  /** V8's limit for its whole heap. */
  readonly heapLimitBytes: number | null;
  /** Of its slot, since the arbiter started. */
  readonly restarts: number;
}

export interface ExitStatus {
  readonly time: string;
  readonly slot: number;
  readonly workerId: number;
  readonly pid: number | null;
  /** How long it lived. */
  readonly seconds: number;
  /** Why it had to be replaced, as in `tsunicorn_worker_restarts_total`; null where it was not wanted any more. */
  readonly reason: string | null;
  /** `exit code 1`, `SIGKILL`. */
  readonly how: string;
  /** What it said, or what was said of it, before it ended. */
  readonly message: string | null;
  /** Where its JavaScript was then. */
  readonly stack: string | null;
}

export interface TotalsStatus {
  /** Answered requests by class of code: `2xx`, `4xx`. */
  readonly requests: Readonly<Record<string, number>>;
  /** Requests that tsunicorn turned away itself, by reason. */
  readonly rejected: Readonly<Record<string, number>>;
  /** Workers replaced, by reason. */
  readonly restarts: Readonly<Record<string, number>>;
  /** From a request's arrival to the end of its response. */
  readonly latency: HistogramStatus;
}

/** `counts[i]` is how many took longer than `bounds[i - 1]` and at most `bounds[i]` seconds; one more for the rest. */
export interface HistogramStatus {
  readonly bounds: readonly number[];
  readonly counts: readonly number[];
}

export interface CgroupStatus {
  readonly cpuPeriods: number | null;
  readonly cpuThrottledPeriods: number | null;
  readonly cpuThrottledSeconds: number | null;
  /** Without page cache that the kernel can drop: what the kubelet goes by. */
  readonly memoryUsageBytes: number | null;
  readonly oomKills: number | null;
}

export interface SettingStatus {
  /** As one would write it; null where nothing is set and there is no default. */
  readonly value: string | null;
  /** `default`, `env`, `file`, `auto` or `cgroup`. */
  readonly origin: string;
  /** The variable that was given, where one was. */
  readonly variable?: string;
}
