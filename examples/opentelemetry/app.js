import { setTimeout as sleep } from 'node:timers/promises';
import express from 'express';

// Nothing about OpenTelemetry is in here: what TSUNICORN_NODE_OPTIONS imports first instruments it.
export const app = express();

app.get('/', (_request, response) => {
  response.json({ hello: 'world', pid: process.pid });
});

app.get('/slow', async (request, response) => {
  const ms = Math.min(Math.max(Number(request.query.ms ?? 1_000) || 0, 0), 60_000);
  await sleep(ms);
  response.json({ waited: ms, pid: process.pid });
});

app.get('/error', async () => {
  throw new Error('thrown in a handler');
});

export default app;
