import { createServer } from 'node:http';
import { Server } from 'socket.io';

const server = createServer((_request, response) => {
  response.setHeader('Content-Type', 'application/json');
  response.end(JSON.stringify({ hello: 'world', pid: process.pid }));
});
const io = new Server(server);

io.on('connection', (socket) => {
  socket.on('hello', (name, acknowledge) => acknowledge({ hello: name, pid: process.pid }));
});

// A session that this worker does not know: without stickiness, most requests of a client that polls.
io.engine.on('connection_error', ({ code, message }) => console.log(JSON.stringify({ refused: code, message })));

/**
 * tsunicorn calls it at the drain. A WebSocket that is left open would hold the worker until the graceful timeout; its
 * client connects anew at once. tsunicorn itself says goodbye to the clients that poll.
 */
export function onShutdown() {
  for (const client of Object.values(io.engine.clients)) if (client.transport.name === 'websocket') client.close();
}

export default server;
