/** Waiting for conditions, never for times. */
import { setTimeout as sleep } from 'node:timers/promises';

/** Much for a busy machine, and before a graceful or a worker's timeout by default could be what ends the wait. */
const SECONDS = 24;

/** For the end of a stall: its seconds are those in which the worker had a CPU, and on a busy machine many more pass. */
export const SOONER_OR_LATER = 240;

/** Polls until `condition` gives something; fails with `what` and the last state after `seconds`. */
export async function waitFor<T>(
  what: string,
  condition: () => T | Promise<T>,
  { seconds = SECONDS, state }: { seconds?: number; state?: () => unknown } = {},
): Promise<NonNullable<Exclude<T, false>>> {
  const deadline = performance.now() + seconds * 1000;
  for (;;) {
    const value = await condition();
    if (value) return value as NonNullable<Exclude<T, false>>;
    if (performance.now() > deadline) {
      const seen = state ? `\n${typeof state() === 'string' ? state() : JSON.stringify(state(), null, 1)}` : '';
      throw new Error(`not within ${seconds} s: ${what}${seen}`);
    }
    await sleep(10);
  }
}
