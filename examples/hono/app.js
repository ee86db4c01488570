import { Hono } from 'hono';
import { streamSSE } from 'hono/streaming';

/** The longest wait that a client may ask of /slow, in milliseconds. */
const LONGEST_MS = 60_000;

// No serve() and no adapter: an object with `fetch` is an app.
const app = new Hono();

app.get('/', (c) => c.json({ hello: 'world', pid: process.pid }));

app.get('/slow', async (c) => {
  const ms = Math.min(Math.max(Number(c.req.query('ms') ?? 1_000) || 0, 0), LONGEST_MS);
  await new Promise((resolve) => setTimeout(resolve, ms));
  return c.json({ waited: ms, pid: process.pid });
});

app.get('/events', (c) =>
  streamSSE(c, async (stream) => {
    for (let n = 1; n <= 5 && !stream.aborted; n++) {
      await stream.writeSSE({ data: JSON.stringify({ n, at: Date.now() }) });
      await stream.sleep(200);
    }
  }),
);

app.post('/upload', async (c) => {
  let bytes = 0;
  for await (const chunk of c.req.raw.body ?? []) bytes += chunk.length;
  return c.json({ bytes });
});

// Hono answers 500 and writes the error to stderr.
app.get('/error', () => {
  throw new Error('thrown in a handler');
});

export default app;
