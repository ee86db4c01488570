/** Runs the server with a fault in it: put before the command, followed by the fault's name. */
const dist = new URL('../../dist/', import.meta.url).href;
const { HaltServer } = (await import(`${dist}errors.js`)) as typeof import('../../src/errors.ts');
const { ExitHistory } = (await import(
  `${dist}arbiter/exit-history.js`
)) as typeof import('../../src/arbiter/exit-history.ts');
const { MetricsCollector } = (await import(
  `${dist}arbiter/metrics/scrape.js`
)) as typeof import('../../src/arbiter/metrics/scrape.ts');
const { MetricsStore } = (await import(
  `${dist}arbiter/metrics/store.js`
)) as typeof import('../../src/arbiter/metrics/store.ts');
const { Pool } = (await import(`${dist}arbiter/pool/pool.js`)) as typeof import('../../src/arbiter/pool/pool.ts');
const { Sizer } = (await import(`${dist}arbiter/sizer.js`)) as typeof import('../../src/arbiter/sizer.ts');
const { WorkerProcess } = (await import(
  `${dist}arbiter/worker-process.js`
)) as typeof import('../../src/arbiter/worker-process.ts');
const { OomKills } = (await import(
  `${dist}platform/kernel/usage.js`
)) as typeof import('../../src/platform/kernel/usage.ts');
const { Notifier } = (await import(`${dist}platform/notify.js`)) as typeof import('../../src/platform/notify.ts');
const { Listeners } = (await import(`${dist}platform/sockets.js`)) as typeof import('../../src/platform/sockets.ts');

const boom = (): never => {
  throw new Error('a fault of the test');
};

/** The first `calls` calls of the method fail, after `skip` that do not. */
function fail<T extends object>(type: { prototype: T }, method: keyof T & string, calls = 1, skip = 0): void {
  const real = type.prototype[method] as (...args: unknown[]) => unknown;
  let count = 0;
  Object.assign(type.prototype, {
    [method](...args: unknown[]) {
      count++;
      return count > skip && count <= skip + calls ? boom() : Reflect.apply(real, this, args);
    },
  });
}

function failToSend(type: string): void {
  const { send } = WorkerProcess.prototype;
  WorkerProcess.prototype.send = function sendOrFail(message) {
    return message.type === type ? boom() : Reflect.apply(send, this, [message]);
  };
}

const halt = (): never => {
  throw new HaltServer('halted by the test', 'bind');
};

const FAULTS: Readonly<Record<string, () => void>> = {
  timer: () => fail(Sizer, 'look'),
  signal: () => fail(Pool, 'reload'),
  message: () => fail(MetricsCollector, 'received', 2),
  exit: () => fail(OomKills, 'explains'),
  'exit, late': () => fail(ExitHistory, 'add'),
  immediate: () => fail(MetricsStore, 'gone'),
  'admin request': () => fail(MetricsStore, 'linesDropped'),
  kill: () => fail(WorkerProcess, 'activity'),
  report: () => fail(WorkerProcess, 'activity'),
  decision: () => failToSend('drain'),
  spawn: () => fail(Listeners, 'of', 1, 1 + 2), // after the admin port and the first workers
  notifier: () => fail(Notifier, 'update'),
  stop: () => fail(Notifier, 'stop'),
  'timer of its own': () => void setTimeout(boom, 1_000),
  promise: () => void setTimeout(async () => boom(), 1_000),
  halt: () => Object.assign(Sizer.prototype, { look: halt }),
  'halt in a timer of its own': () => void setTimeout(halt, 1_000),
};

FAULTS[process.argv[2] ?? '']?.();
process.argv.length = 2;
await import(`${dist}main.js`);
