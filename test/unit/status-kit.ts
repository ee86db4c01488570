/** An answer of /status, of a server that has just started in a container. */
import type { Status } from '../../src/admin/status.ts';

const MIB = 2 ** 20;

export const STATUS: Status = {
  time: '2026-01-01T00:00:00.000Z',
  pid: 1,
  seconds: 10,
  versions: { tsunicorn: '0.1.0', node: 'v26.0.0' },
  readiness: { ready: true, reason: '2 of 2 workers are ready' },
  listeners: ['http://0.0.0.0:8000'],
  sizing: {
    workers: 2,
    target: 2,
    signalled: false,
    why: '2 workers: …',
    warning: null,
    cpus: 1.5,
    byCpus: 2,
    byMemory: 3,
    minWorkers: 1,
    maxWorkers: null,
    heapBytes: 168 * MIB,
    limits: {
      cgroup: 'v2',
      quotaCores: 1.5,
      cpusetCpus: 8,
      affinityCpus: 4,
      onlineCpus: 8,
      memoryBytes: 512 * MIB,
      sources: { quota: '/sys/fs/cgroup/cpu.max', memory: '/sys/fs/cgroup/memory.max' },
    },
  },
  workers: [],
  exits: [],
  totals: { requests: {}, rejected: {}, restarts: {}, latency: { bounds: [0.1, 1], counts: [0, 0, 0] } },
  cgroup: {
    cpuPeriods: 0,
    cpuThrottledPeriods: 0,
    cpuThrottledSeconds: 0,
    memoryUsageBytes: 150 * MIB,
    oomKills: 0,
  },
  settings: { TSUNICORN_WORKERS: { value: '2', origin: 'cgroup' } },
};
