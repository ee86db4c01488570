/**
 * Preloaded into the arbiter: the longest turn of its loop between two SIGURG, in milliseconds into the file LOOP_WATCH at
 * its exit: as CPU time, by the clock, and by the clock less the time in which it was ready to run and had no CPU. That
 * is a matter of who else wants the cores; what is left over the CPU time is waiting for something else.
 */
const PERIOD_MS = 5;

if (process.argv[2] === undefined && process.env.LOOP_WATCH !== undefined) {
  const { openSync, readSync, writeFileSync } = process.getBuiltinModule('node:fs');
  const schedstat = openSync('/proc/thread-self/schedstat');
  const text = Buffer.alloc(64);
  /** Time on a run queue without a CPU, the second number, in nanoseconds (proc_pid_schedstat(5)). */
  const waitedMs = () => Number(text.latin1Slice(0, readSync(schedstat, text, 0, text.length, 0)).split(' ')[1]) / 1e6;
  const now = () => {
    const { user, system } = process.threadCpuUsage();
    const clock = performance.now();
    return { cpu: (user + system) / 1000, clock, running: clock - waitedMs() };
  };
  let before = now();
  let longest = { cpu: 0, clock: 0, running: 0 };
  let isOn = false;
  setInterval(() => {
    const after = now();
    if (isOn) {
      longest = {
        cpu: Math.max(longest.cpu, after.cpu - before.cpu),
        clock: Math.max(longest.clock, after.clock - before.clock - PERIOD_MS),
        running: Math.max(longest.running, after.running - before.running - PERIOD_MS),
      };
    }
    before = after;
  }, PERIOD_MS).unref();
  process.on('SIGURG', () => {
    isOn = !isOn;
  });
  process.on('exit', () => writeFileSync(process.env.LOOP_WATCH, JSON.stringify(longest)));
}
