import { setTimeout as sleep } from 'node:timers/promises';
import express from 'express';
import { WebSocketServer } from 'ws';

// A program as it was before it met tsunicorn: it listens by itself, and exports nothing.
const app = express();

app.get('/', (_request, response) => {
  response.json({ hello: 'world', pid: process.pid });
});

app.get('/slow', async (request, response) => {
  const ms = Math.min(Math.max(Number(request.query.ms ?? 1_000) || 0, 0), 60_000);
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

app.post('/upload', async (request, response) => {
  let bytes = 0;
  for await (const chunk of request) bytes += chunk.length;
  response.json({ bytes });
});

app.get('/error', async () => {
  throw new Error('thrown in a handler');
});

const server = app.listen(Number(process.env.PORT ?? 3000), () => {
  console.log(`listening on port ${server.address().port}`);
});

const sockets = new WebSocketServer({ server, path: '/ws' });
sockets.on('connection', (socket) => {
  socket.on('message', (data) => socket.send(`${process.pid} ${data}`));
});

process.on('SIGTERM', () => {
  console.log('SIGTERM: closing');
  for (const socket of sockets.clients) socket.close(1001, 'the server restarts');
  server.close(() => process.exit(0));
});
