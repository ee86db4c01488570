import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import router from '@adonisjs/core/services/router';

router.get('/', () => ({ hello: 'world', pid: process.pid }));

router.get('/slow', async ({ request }) => {
  const ms = Math.min(Math.max(Number(request.input('ms', 1_000)) || 0, 0), 60_000);
  await sleep(ms);
  return { waited: ms, pid: process.pid };
});

router.get('/events', ({ response }) => {
  response.header('Content-Type', 'text/event-stream');
  response.stream(Readable.from(events()));
});

async function* events() {
  for (let n = 1; n <= 5; n++) {
    yield `data: ${JSON.stringify({ n, at: Date.now() })}\n\n`;
    await sleep(200);
  }
}

router.post('/upload', async ({ request }) => {
  let bytes = 0;
  for await (const chunk of request.request) bytes += chunk.length; // the body parser leaves this type alone
  return { bytes };
});

router.get('/error', () => {
  throw new Error('thrown in a handler');
});
