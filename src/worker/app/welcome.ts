/** Served if no app is configured and none is found. */
import type { IncomingMessage, ServerResponse } from 'node:http';

const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>tsunicorn is running</title>
<style>
  :root { color-scheme: light dark; font: 1.1rem/1.6 system-ui, sans-serif; }
  body { max-width: 38rem; margin: 12vh auto; padding: 0 1.25rem; }
  h1 { font-size: 1.8rem; line-height: 1.2; }
  code { font-size: 0.95em; }
  pre { padding: 1rem; border: 1px solid color-mix(in srgb, currentColor 25%, transparent); border-radius: 0.5rem; overflow-x: auto; }
</style>
<h1>tsunicorn is running.</h1>
<p>This page is its built-in welcome app, since no app was configured and none was found. To serve yours, point
<code>TSUNICORN_APP</code> at the module that exports it:</p>
<pre><code>TSUNICORN_APP=dist/app.js tsunicorn</code></pre>
<p>A <code>(req, res)</code> or a <code>fetch(request)</code> function will do, an app of Express, Fastify, Koa, Nest,
Hono, H3 or Elysia as it is, or an <code>http.Server</code>. Health and metrics are on the admin port, 10464 by
default: <code>/livez</code>, <code>/readyz</code>, <code>/metrics</code>.</p>
</html>
`;

export function welcome(request: IncomingMessage, response: ServerResponse): void {
  const isRoot = request.url === '/';
  response.writeHead(isRoot ? 200 : 404, {
    'Content-Type': isRoot ? 'text/html; charset=utf-8' : 'text/plain; charset=utf-8',
    'Content-Security-Policy': "default-src 'none'; style-src 'unsafe-inline'",
  });
  response.end(isRoot ? PAGE : 'Not found: this is the welcome app of tsunicorn, and / is its only page.\n');
}
