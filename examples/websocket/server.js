import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';

const server = createServer((_request, response) => {
  response.setHeader('Content-Type', 'application/json');
  response.end(JSON.stringify({ hello: 'world', pid: process.pid }));
});

// No server.listen(): ws takes the 'upgrade' events of the server that tsunicorn listens for.
const sockets = new WebSocketServer({ server, path: '/ws' });

sockets.on('connection', (socket) => {
  // Its clients are those of this worker: what concerns the others goes through a broker, such as Redis.
  socket.on('message', (data) => socket.send(`${process.pid} ${data}`));
});

/** tsunicorn calls it at the drain. A socket that is left open would hold the worker until the graceful timeout. */
export function onShutdown() {
  for (const socket of sockets.clients) socket.close(1001, 'the server restarts');
}

export default server;
