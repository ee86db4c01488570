import cluster from 'node:cluster';
import { createServer } from 'node:http';
import { availableParallelism } from 'node:os';
import { createAdapter, setupPrimary } from '@socket.io/cluster-adapter';
import { setupMaster, setupWorker } from '@socket.io/sticky';
import { Server } from 'socket.io';

// As in the documentation of Socket.IO. Under tsunicorn the first branch does not run: it starts the workers, passes
// their messages on, and TSUNICORN_STICKY=ip keeps a client with its worker.
if (cluster.isPrimary) {
  const server = createServer();
  setupMaster(server, { loadBalancingMethod: 'least-connection' });
  setupPrimary();
  cluster.setupPrimary({ serialization: 'advanced' });
  server.listen(process.env.PORT ?? 3000);
  for (let i = 0; i < availableParallelism(); i++) cluster.fork();
  cluster.on('exit', () => cluster.fork());
} else {
  const server = createServer((_request, response) => {
    response.setHeader('Content-Type', 'application/json');
    response.end(JSON.stringify({ hello: 'world', worker: cluster.worker.id, pid: process.pid }));
  });
  const io = new Server(server);
  io.adapter(createAdapter());
  setupWorker(io);

  io.on('connection', (socket) => {
    socket.on('hello', (name, acknowledge) => acknowledge({ hello: name, pid: process.pid }));
    // Rooms have members in every worker.
    socket.on('join', async (room, acknowledge) => {
      await socket.join(room);
      acknowledge({ pid: process.pid });
    });
    socket.on('say', (room, text) => io.to(room).emit('said', text));
    socket.on('members', async (room, acknowledge) => {
      const members = await io.in(room).fetchSockets();
      acknowledge(members.length);
    });
  });
}
