import { setTimeout as sleep } from 'node:timers/promises';
import express from 'express';

/** The longest wait that a client may ask of /slow, in milliseconds. */
const LONGEST_MS = 60_000;

// No app.listen(): the module exports the app, and tsunicorn does the listening.
export const app = express();

app.get('/', (_request, response) => {
  response.json({ hello: 'world', pid: process.pid });
});

// Waits without keeping the event loop busy: the worker answers other requests meanwhile.
app.get('/slow', async (request, response) => {
  const asked = Number(request.query.ms ?? 1_000);
  const ms = Math.min(Math.max(asked || 0, 0), LONGEST_MS);
  await sleep(ms);
  response.json({ waited: ms, pid: process.pid });
});

app.get('/events', async (_request, response) => {
  response.type('text/event-stream');
  for (let n = 1; n <= 5 && !response.closed; n++) {
    response.write(`data: ${JSON.stringify({ n, at: Date.now() })}\n\n`);
    await sleep(200);
  }
  response.end();
});

app.post('/echo', express.json(), (request, response) => {
  response.json(request.body ?? null);
});

app.post('/upload', async (request, response) => {
  let bytes = 0;
  for await (const chunk of request) bytes += chunk.length;
  response.json({ bytes });
});

// Express 5 passes a rejected promise on to its error handler, which answers 500.
app.get('/error', async () => {
  await sleep(1);
  throw new Error('thrown after an await');
});

export default app;
