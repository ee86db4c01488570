/**
 * Preloaded into the arbiter: the longest turn of its loop from SIGURG to the end, as CPU time and by the clock, in
 * milliseconds into the file LOOP_WATCH. By the clock it is also a matter of who else wants the cores.
 */
const PERIOD_MS = 5;

if (process.argv[2] === undefined && process.env.LOOP_WATCH !== undefined) {
  const { writeFileSync } = process.getBuiltinModule('node:fs');
  const cpuMs = () => {
    const { user, system } = process.threadCpuUsage();
    return (user + system) / 1000;
  };
  let before = { cpu: cpuMs(), clock: performance.now() };
  let longest = { cpu: 0, clock: 0 };
  setInterval(() => {
    const now = { cpu: cpuMs(), clock: performance.now() };
    longest = {
      cpu: Math.max(longest.cpu, now.cpu - before.cpu),
      clock: Math.max(longest.clock, now.clock - before.clock - PERIOD_MS),
    };
    before = now;
  }, PERIOD_MS).unref();
  process.on('SIGURG', () => {
    longest = { cpu: 0, clock: 0 };
  });
  process.on('exit', () => writeFileSync(process.env.LOOP_WATCH, JSON.stringify(longest)));
}
