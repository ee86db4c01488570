/** Full load for so many seconds, from outside the container, and the results as one line of JSON. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Load } from './load.ts';

const seconds = Number(process.argv[2]);
const never = { after: () => {} };
const loads = (['keep-alive', 'short'] as const).map((kind) => new Load(never, { port: 8000, clients: 16, kind }));
await sleep(seconds * 1000);
const results = await Promise.all(loads.map((load) => load.stop()));
process.stdout.write(`load: ${JSON.stringify(results)}\n`);
