import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import Router from '@koa/router';
import Koa from 'koa';

/** The longest wait that a client may ask of /slow, in milliseconds. */
const LONGEST_MS = 60_000;

// No app.listen(), and no app.callback() either: the module exports the app.
export const app = new Koa();
const router = new Router();

router.get('/', (ctx) => {
  ctx.body = { hello: 'world', pid: process.pid };
});

router.get('/slow', async (ctx) => {
  const ms = Math.min(Math.max(Number(ctx.query.ms ?? 1_000) || 0, 0), LONGEST_MS);
  await sleep(ms);
  ctx.body = { waited: ms, pid: process.pid };
});

async function* events() {
  for (let n = 1; n <= 5; n++) {
    yield `data: ${JSON.stringify({ n, at: Date.now() })}\n\n`;
    await sleep(200);
  }
}

router.get('/events', (ctx) => {
  ctx.type = 'text/event-stream';
  ctx.body = Readable.from(events());
});

router.post('/upload', async (ctx) => {
  let bytes = 0;
  for await (const chunk of ctx.req) bytes += chunk.length;
  ctx.body = { bytes };
});

// Koa answers 500 and emits 'error', which it writes to stderr if it has no listener.
router.get('/error', () => {
  throw new Error('thrown in a handler');
});

app.use(router.routes());

export default app;
