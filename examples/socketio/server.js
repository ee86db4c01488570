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
 * tsunicorn calls it at the drain. A session that polls would ask the new worker next, which does not know it: closed in
 * order, its client connects anew at once. WebSockets stay with this worker, and tsunicorn closes them at the end.
 */
export function onShutdown() {
  for (const client of Object.values(io.engine.clients)) if (client.transport.name === 'polling') client.close();
}

export default server;
