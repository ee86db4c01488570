import { setTimeout as sleep } from 'node:timers/promises';

/** The longest wait that a client may ask for, in milliseconds. */
const LONGEST_MS = 60_000;

export default defineEventHandler(async (event) => {
  const asked = Number(getQuery(event).ms ?? 1_000);
  const ms = Math.min(Math.max(asked || 0, 0), LONGEST_MS);
  await sleep(ms);
  return { waited: ms, pid: process.pid };
});
