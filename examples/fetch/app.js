import { setTimeout as sleep } from 'node:timers/promises';

/** The longest wait that a client may ask of /slow, in milliseconds. */
const LONGEST_MS = 60_000;

/** The Web-standard shape, which other runtimes serve as it is: a Request in, a Response out, and no framework. */
export default {
  async fetch(request) {
    const url = new URL(request.url);
    const route = routes[`${request.method} ${url.pathname}`];
    return route ? await route(request, url) : new Response('not found\n', { status: 404 });
  },
};

const routes = {
  'GET /': () => Response.json({ hello: 'world', pid: process.pid }),

  'GET /slow': async (request, url) => {
    const asked = Number(url.searchParams.get('ms') ?? 1_000);
    const ms = Math.min(Math.max(asked || 0, 0), LONGEST_MS);
    await sleep(ms, undefined, { signal: request.signal }); // ends early where the client goes away
    return Response.json({ waited: ms, pid: process.pid });
  },

  'GET /events': () =>
    new Response(ReadableStream.from(events()), { headers: { 'Content-Type': 'text/event-stream' } }),

  'POST /upload': async (request) => {
    let bytes = 0;
    for await (const chunk of request.body ?? []) bytes += chunk.length;
    return Response.json({ bytes });
  },

  'GET /error': () => {
    throw new Error('thrown in a handler');
  },
};

async function* events() {
  const encoder = new TextEncoder();
  for (let n = 1; n <= 5; n++) {
    yield encoder.encode(`data: ${JSON.stringify({ n, at: Date.now() })}\n\n`);
    await sleep(200);
  }
}
