import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import websocket from '@fastify/websocket';
import fastify from 'fastify';

// No app.listen(): the module exports the instance, and tsunicorn makes it ready and does the listening.
export const app = fastify({ logger: false, bodyLimit: 16 << 20 });

await app.register(websocket);

// A body of any type is left to the handler as a stream.
app.addContentTypeParser('*', (_request, _payload, done) => done(null));

app.get('/', async () => ({ hello: 'world', pid: process.pid }));

const ms = { type: 'integer', minimum: 0, maximum: 60_000, default: 1_000 };
const slow = { schema: { querystring: { type: 'object', properties: { ms } } } };
app.get('/slow', slow, async (request) => {
  await sleep(request.query.ms);
  return { waited: request.query.ms, pid: process.pid };
});

async function* events() {
  for (let n = 1; n <= 5; n++) {
    yield `data: ${JSON.stringify({ n, at: Date.now() })}\n\n`;
    await sleep(200);
  }
}

app.get('/events', async (_request, reply) => {
  reply.type('text/event-stream');
  return Readable.from(events());
});

app.post('/upload', async (request) => {
  let bytes = 0;
  for await (const chunk of request.raw) bytes += chunk.length;
  return { bytes };
});

app.get('/error', async () => {
  throw new Error('thrown in a handler');
});

app.get('/ws', { websocket: true }, (socket) => {
  socket.on('message', (data) => socket.send(`${process.pid} ${data}`));
});

/** tsunicorn calls it at the drain. A socket that is left open would hold the worker until the graceful timeout. */
export function onShutdown() {
  for (const socket of app.websocketServer.clients) socket.close(1001, 'the server restarts');
}

export default app;
