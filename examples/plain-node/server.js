import { createServer } from 'node:http';

// A server may have more listeners than 'request', such as 'upgrade' for WebSocket. It must not listen by itself.
export const server = createServer();

server.on('request', (request, response) => {
  response.setHeader('Content-Type', 'text/plain; charset=utf-8');
  response.end(`${request.method} ${request.url} from process ${process.pid}\n`);
});
