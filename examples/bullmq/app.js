import { Queue } from 'bullmq';
import express from 'express';
import { connection, QUEUE } from './connection.js';

const queue = new Queue(QUEUE, { connection });
const app = express();

app.post('/mail', async (request, response) => {
  const job = await queue.add('send', { to: String(request.query.to), by: process.pid });
  response.status(202).json({ id: job.id, pid: process.pid });
});

app.get('/mail/:id', async (request, response) => {
  const state = await queue.getJobState(request.params.id);
  const job = await queue.getJob(request.params.id); // after its state, so that a completed one has its result
  response.json({ state, result: job?.returnvalue, pid: process.pid });
});

export default app;
