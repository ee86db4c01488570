/**
 * Runs the arbiter as `tsunicorn` does, with a memory limit that the test gives it: put before the command, followed by
 * the folder of `memory.max`, `memory.current` and `memory.stat`, which memory-controller.ts keeps.
 */
import { join } from 'node:path';

const dist = new URL('../../dist/', import.meta.url).href;
const { listenForSignals } = (await import(
  `${dist}platform/signals.js`
)) as typeof import('../../src/platform/signals.ts');
const signals = listenForSignals(process);
const { Arbiter } = (await import(`${dist}arbiter/arbiter.js`)) as typeof import('../../src/arbiter/arbiter.ts');
const { environmentOf, loadSettings } = (await import(
  `${dist}config/load.js`
)) as typeof import('../../src/config/load.ts');
const { openServerLog } = (await import(
  `${dist}observe/log/server-log.js`
)) as typeof import('../../src/observe/log/server-log.ts');
const { readLimits } = (await import(
  `${dist}platform/kernel/limits.js`
)) as typeof import('../../src/platform/kernel/limits.ts');
const { readFileSync } = await import('node:fs');

const [folder = ''] = process.argv.slice(2);
const file = join(folder, 'memory.max');
const loaded = loadSettings(environmentOf(process));
const { settings } = loaded;
const log = openServerLog(settings, { pid: process.pid });
const arbiter = new Arbiter({
  settings,
  given: () => [],
  rereadSettings: () => ({ loaded, changed: [], needRestart: [] }),
  describeSettings: () => ({}),
  readLimits: () => {
    const limits = readLimits();
    return { ...limits, memoryBytes: Number(readFileSync(file, 'utf8')), sources: { ...limits.sources, memory: file } };
  },
  serverLog: log,
  signals,
  process,
});
let status = 1;
try {
  await arbiter.run();
} catch (error) {
  log.logger.info((error as Error).message);
  status = (error as { status?: number }).status ?? 1;
}
await log.destination.close();
process.exit(status);
