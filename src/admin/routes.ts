/**
 * Probes for orchestrators, metrics for Prometheus, the live page for people. The arbiter serves them, so a busy worker
 * cannot delay them. All of it is read-only.
 */
import { once } from 'node:events';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { HaltServer } from '../errors.ts';
import type { BindAddress } from '../platform/address.ts';
import { http } from '../platform/node-http.ts';
import { listenOnHandle } from '../platform/socket-handle.ts';
import { Listeners } from '../platform/sockets.ts';
import { PAGE_HEADERS, pageFile } from './page.ts';
import type { Status } from './status.ts';

export interface AdminSource {
  readiness(): { ready: boolean; reason: string };
  /** @param accept the request's Accept header */
  metrics(accept: string | undefined): Promise<{ contentType: string; text: string }>;
  status(): Promise<Status>;
}

const TEXT = 'text/plain; charset=utf-8';
const JSON_TYPE = 'application/json; charset=utf-8';
/** Far more than a scraper or a probe needs; slow clients must not pile up. */
const TIMEOUT_MS = 10_000;
const CHECK_MS = 2_000;
/** Enough for scrapers, probes and some live pages; more would use up descriptors that workers need. */
const MAX_CONNECTIONS = 64;
const BACKLOG = 128;

/** Serves until the returned function is called. Throws HaltServer (69) if the address cannot be bound. */
export async function serveAdmin(
  address: BindAddress,
  socketMode: number,
  source: AdminSource,
): Promise<() => Promise<void>> {
  const server = http.createServer(
    { requestTimeout: TIMEOUT_MS, headersTimeout: TIMEOUT_MS, connectionsCheckingInterval: CHECK_MS },
    (request, response) => {
      answer(source, request, response).catch((error: Error) => {
        // Most likely out of descriptors: no reason to stop serving.
        send(response, 500, TEXT, `${error.message}\n`);
      });
    },
  );
  server.maxConnections = MAX_CONNECTIONS;
  // As the app's sockets: a stale unix socket is replaced, a live one refused, and the file removed at the end.
  const sockets = new Listeners({ reusePort: false, socketMode });
  try {
    await sockets.bind([address], 1);
    await listen(server, sockets);
  } catch (error) {
    sockets.release();
    const { message } = error as Error;
    throw new HaltServer(
      `${message.replace(/^cannot bind/, '$& the admin address')}. See TSUNICORN_ADMIN_BIND`,
      'bind',
    );
  }
  return async () => {
    server.closeAllConnections();
    sockets.release();
  };
}

async function listen(server: Server, sockets: Listeners): Promise<void> {
  const listening = once(server, 'listening');
  for (const { handle } of sockets.of(0)) listenOnHandle(server, handle, BACKLOG);
  await listening;
}

async function answer(source: AdminSource, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const [path = '/'] = (request.url ?? '/').split('?');
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return send(response, 405, TEXT, 'only GET and HEAD\n', { Allow: 'GET, HEAD' });
  }
  switch (path) {
    case '/livez':
      return send(response, 200, TEXT, 'ok\n');
    case '/readyz': {
      const readiness = source.readiness();
      return send(response, readiness.ready ? 200 : 503, JSON_TYPE, `${JSON.stringify(readiness)}\n`);
    }
    case '/metrics': {
      const { contentType, text } = await source.metrics(request.headers.accept);
      return send(response, 200, contentType, text);
    }
    case '/status':
      return send(response, 200, JSON_TYPE, `${JSON.stringify(await source.status())}\n`);
    default: {
      const page = await pageFile(path);
      if (page) return send(response, 200, page.type, page.body, PAGE_HEADERS);
      return send(response, 404, TEXT, 'not found: /, /status, /metrics, /readyz and /livez are here\n');
    }
  }
}

function send(
  response: ServerResponse,
  status: number,
  type: string,
  body: string,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, {
    'Content-Type': type,
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    ...headers,
  });
  response.end(body);
}
