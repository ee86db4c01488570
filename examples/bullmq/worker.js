import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'bullmq';
import { connection, QUEUE } from './connection.js';

// A process of its own: it serves no requests, and is scaled and restarted for itself.
const worker = new Worker(
  QUEUE,
  async (job) => {
    await sleep(200); // the work
    return { sent: job.data.to, pid: process.pid };
  },
  { connection, concurrency: 10 },
);

worker.on('failed', (job, error) => console.error(`job ${job?.id} failed: ${error.message}`));
await worker.waitUntilReady();
console.log(`takes jobs from ${QUEUE}`);

// close() takes no new jobs and waits for those that run.
process.once('SIGTERM', async () => {
  console.log('SIGTERM: finishing jobs');
  await worker.close();
  console.log('all jobs are finished');
});
