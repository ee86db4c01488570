import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

type Route = (request: IncomingMessage, response: ServerResponse, url: URL) => void | Promise<void>;

/** The longest wait that a client may ask of /slow, in milliseconds. */
const LONGEST_MS = 60_000;

const routes: Record<string, Route> = {
  'GET /': (_request, response) => json(response, { hello: 'world', pid: process.pid }),

  'GET /slow': async (_request, response, url) => {
    const asked = Number(url.searchParams.get('ms') ?? 1_000);
    const ms = Math.min(Math.max(asked || 0, 0), LONGEST_MS);
    await sleep(ms);
    json(response, { waited: ms, pid: process.pid });
  },

  'GET /events': async (_request, response) => {
    response.setHeader('Content-Type', 'text/event-stream');
    for (let n = 1; n <= 5 && !response.closed; n++) {
      response.write(`data: ${JSON.stringify({ n, at: Date.now() })}\n\n`);
      await sleep(200);
    }
    response.end();
  },

  'POST /upload': async (request, response) => {
    let bytes = 0;
    for await (const chunk of request as AsyncIterable<Buffer>) bytes += chunk.length;
    json(response, { bytes });
  },

  // tsunicorn answers 500 for a handler that throws or rejects.
  'GET /error': async () => {
    await sleep(1);
    throw new Error('thrown after an await');
  },
};

export default async function app(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://localhost');
  const route = routes[`${request.method} ${url.pathname}`];
  if (route) return await route(request, response, url);
  response.statusCode = 404;
  json(response, { error: 'not found' });
}

function json(response: ServerResponse, body: unknown): void {
  response.setHeader('Content-Type', 'application/json');
  response.end(JSON.stringify(body));
}
