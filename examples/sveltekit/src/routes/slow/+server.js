import { setTimeout as sleep } from 'node:timers/promises';
import { json } from '@sveltejs/kit';

/** The longest wait that a client may ask for, in milliseconds. */
const LONGEST_MS = 60_000;

export async function GET({ url }) {
  const asked = Number(url.searchParams.get('ms') ?? 1_000);
  const ms = Math.min(Math.max(asked || 0, 0), LONGEST_MS);
  await sleep(ms);
  return json({ waited: ms, pid: process.pid });
}
