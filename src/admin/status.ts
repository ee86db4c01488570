/**
 * The JSON of `/status`. The arbiter builds it; the live page, a program in the browser, reads it.
 *
 * Times are ISO 8601 in UTC, durations seconds, sizes bytes. Counters start with the arbiter and never fall. null:
 * unknown, because it is not measured yet or this machine does not have it.
 */
export interface Status {
  readonly time: string;
  readonly pid: number;
  /** Since the arbiter started, by a monotonic clock: the base of every rate. */
  readonly seconds: number;
  readonly versions: { readonly tsunicorn: string; readonly node: string };
  /** As in `/readyz`. */
  readonly readiness: { readonly ready: boolean; readonly reason: string };
  /** As in the log: `http://0.0.0.0:8000`. */
  readonly listeners: readonly string[];
  readonly sizing: SizingStatus;
  /** By slot; while a worker is being replaced, the older one first. */
  readonly workers: readonly WorkerStatus[];
  readonly exits: readonly WorkerExitStatus[];
  readonly totals: TotalsStatus;
  readonly cgroup: CgroupStatus;
  /** By variable, as in `tsunicorn config --json`: secrets are redacted. */
  readonly settings: Readonly<Record<string, SettingStatus>>;
}

export interface SizingStatus {
  readonly workers: number;
  /** The current goal: less than `workers` where a slot got no socket. */
  readonly target: number;
  /** TTIN or TTOU set the number, until HUP. */
  readonly signalled: boolean;
  /** The decision and all its inputs in one line, as in the log. */
  readonly why: string;
  /** A problem with the limits, and its fix. */
  readonly warning: string | null;
  /** Usable cores, fractional: the smallest of quota, cpuset and affinity. */
  readonly cpus: number;
  readonly byCpus: number;
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
  /** `leaving`: serves until its replacement is ready. */
  readonly state: 'booting' | 'ready' | 'leaving' | 'draining';
  /** False after `setReady(false)`: new connections go to other workers, where one is ready. */
  readonly appReady: boolean;
  /** It runs what the app gave to `onLeader()`. */
  readonly leads: boolean;
  readonly seconds: number;
  readonly pid: number | null;
  readonly inFlight: number | null;
  readonly connections: number | null;
  readonly requests: number;
  /** Seconds that timers are late in its event loop: the 99th percentile of the last 5 to 15 s. */
  readonly eventLoopLag: number | null;
  /** Share of time that the event loop was busy, 0 to 1. */
  readonly eventLoopUtilization: number | null;
  readonly residentBytes: number | null;
  readonly heapUsedBytes: number | null;
  /** V8's limit for its whole heap. */
  readonly heapLimitBytes: number | null;
  /** Of its slot, since the arbiter started. */
  readonly restarts: number;
}

export interface WorkerExitStatus extends Pick<WorkerStatus, 'slot' | 'workerId' | 'pid'> {
  readonly time: string;
  readonly seconds: number;
  /** Why it was replaced, as in `tsunicorn_worker_restarts_total`; null if it was surplus. */
  readonly reason: string | null;
  /** `exit code 1`, `SIGKILL`. */
  readonly how: string;
  /** Its last error, or why it was killed. */
  readonly message: string | null;
  readonly stack: string | null;
}

export interface TotalsStatus {
  /** Responses by class of status code: `2xx`, `4xx`. */
  readonly requests: Readonly<Record<string, number>>;
  readonly rejected: Readonly<Record<string, number>>;
  readonly restarts: Readonly<Record<string, number>>;
  /** From a request's arrival to the end of its response. */
  readonly latency: HistogramStatus;
}

/** `counts[i]` took at most `bounds[i]` seconds and more than `bounds[i - 1]`; the last count is the rest. */
export interface HistogramStatus {
  readonly bounds: readonly number[];
  readonly counts: readonly number[];
}

export interface CgroupStatus {
  readonly cpuPeriods: number | null;
  readonly cpuThrottledPeriods: number | null;
  readonly cpuThrottledSeconds: number | null;
  /** Without page cache that the kernel can drop, as the kubelet counts. */
  readonly memoryUsageBytes: number | null;
  readonly oomKills: number | null;
}

export interface SettingStatus {
  /** As in the environment; null if it is unset and has no default. */
  readonly value: string | null;
  /** `default`, `env`, `file`, `auto` or `cgroup`. */
  readonly origin: string;
  readonly variable?: string;
}
